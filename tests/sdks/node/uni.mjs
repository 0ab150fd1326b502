// As much of uni-app's `uni` as its SDK uses, over a WebSocket class.

export function makeUni(WebSocket) {
  const open = new Set();
  return {
    connectSocket({ url }) {
      const socket = new WebSocket(url);
      open.add(socket);
      socket.binaryType = "arraybuffer";
      socket.addEventListener("close", () => open.delete(socket));
      return {
        onOpen: (listener) => socket.addEventListener("open", () => listener({})),
        onMessage: (listener) => socket.addEventListener("message", ({ data }) => listener({ data })),
        onClose: (listener) => socket.addEventListener("close", ({ code, reason }) => listener({ code, reason })),
        onError: (listener) => socket.addEventListener("error", ({ message }) => listener({ errMsg: message })),
        send: ({ data }) => socket.readyState === WebSocket.OPEN && socket.send(data),
      };
    },
    closeSocket() {
      for (const socket of open) socket.close();
    },
  };
}
