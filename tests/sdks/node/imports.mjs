// Lets node import the SDKs as they are: they are ES modules written for bundlers, with imports that leave ".js" out.

const SDK = /\/node_modules\/wukongim(js|uniapp)sdk\/lib\//;

export async function resolve(specifier, context, next) {
  if (!SDK.test(context.parentURL) || !specifier.startsWith(".")) return next(specifier, context);
  return next(specifier === "." ? "./index.js" : `${specifier}.js`, context);
}

export async function load(url, context, next) {
  return next(url, SDK.test(url) ? { ...context, format: "module" } : context);
}
