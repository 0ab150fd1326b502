// One user of an official SDK as npm installs it. Commands in, events out, a JSON object on each line.
//
//     node user.mjs NODE_MODULES wukongimjssdk|wukongimuniappsdk
//
// Commands, by their member `do`:
//     connect {addr, uid, token, device_flag, heartbeat_ms}    the uni-app SDK's flag is always 1
//     send {channel_id, channel_type, texts}                   without waiting for answers
//     history {http, channel_id, channel_type, limit}          through the SDK's hook for it
// Events, by their member `event`: dial (the SDK opens a socket), status, sent, message, history.

import { register } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setImmediate } from "node:timers/promises";
import { pathToFileURL } from "node:url";

import { makeUni } from "./uni.mjs";

const STATUS = ["disconnected", "connected", "connecting", "refused", "kicked"];

const [modules, name] = process.argv.slice(2);
const load = (file) => import(pathToFileURL(join(modules, file)));
const say = (event, members) => process.stdout.write(JSON.stringify({ event, ...members }) + "\n");

console.log = console.error; // The SDKs log there, and standard output is for events.

const { WebSocket } = await load("ws/wrapper.mjs");
globalThis.WebSocket = class extends WebSocket {
  constructor(url) {
    super(url);
    say("dial");
  }
};
if (name === "wukongimuniappsdk") globalThis.uni = makeUni(globalThis.WebSocket);
register("./imports.mjs", import.meta.url);
const { Channel, Message, MessageText, SyncOptions, WKSDK } = await load(`${name}/lib/sdk.js`);

const sdk = WKSDK.shared();
const numbers = new Map(); // client_seq: client_msg_no

function plain(message) {
  return {
    message_id: message.messageID,
    message_seq: message.messageSeq,
    client_msg_no: message.clientMsgNo,
    from_uid: message.fromUID,
    channel_id: message.channel.channelID,
    channel_type: message.channel.channelType,
    red_dot: message.header.reddot,
    payload: message.content.contentObj,
  };
}

function fromRecord(record) {
  const payload = Buffer.from(record.payload, "base64");
  const message = new Message();
  message.messageID = record.message_idstr;
  message.messageSeq = record.message_seq;
  message.clientMsgNo = record.client_msg_no;
  message.fromUID = record.from_uid;
  message.channel = new Channel(record.channel_id, record.channel_type);
  message.header.reddot = record.header.red_dot === 1;
  message.content = sdk.getMessageContent(JSON.parse(payload).type);
  message.content.decode(payload);
  return message;
}

const commands = {
  connect({ addr, uid, token, device_flag, heartbeat_ms }) {
    Object.assign(sdk.config, { addr, uid, token, deviceFlag: device_flag, heartbeatInterval: heartbeat_ms });
    sdk.connect();
  },

  async send({ channel_id, channel_type, texts }) {
    const channel = new Channel(channel_id, channel_type);
    for (const text of texts) {
      await sdk.chatManager.send(new MessageText(text), channel);
      await setImmediate(); // Messages arrive meanwhile.
    }
  },

  async history({ http, channel_id, channel_type, limit }) {
    sdk.config.provider.syncMessagesCallback = async (channel, options) => {
      const answer = await fetch(`${http}/channel/messagesync`, {
        method: "POST",
        body: JSON.stringify({
          login_uid: sdk.config.uid,
          channel_id: channel.channelID,
          channel_type: channel.channelType,
          start_message_seq: options.startMessageSeq,
          end_message_seq: options.endMessageSeq,
          limit: options.limit,
          pull_mode: options.pullMode,
        }),
      });
      return (await answer.json()).messages.map(fromRecord);
    };
    const options = Object.assign(new SyncOptions(), { limit });
    const messages = await sdk.chatManager.syncMessages(new Channel(channel_id, channel_type), options);
    say("history", { messages: messages.map(plain) });
  },
};

sdk.connectManager.addConnectStatusListener((status, reason) => say("status", { status: STATUS[status], reason }));
sdk.chatManager.addMessageListener((message) => {
  if (message.messageID) say("message", plain(message));
  else numbers.set(message.clientSeq, message.clientMsgNo); // What it sends, the SDK shows at once.
});
sdk.chatManager.addMessageStatusListener((sendack) =>
  say("sent", {
    message_id: sendack.messageID.toString(),
    message_seq: sendack.messageSeq,
    reason: sendack.reasonCode,
    client_msg_no: numbers.get(sendack.clientSeq),
  }),
);

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  await commands[command.do](command);
}
process.exit(); // The SDK's timers go on.
