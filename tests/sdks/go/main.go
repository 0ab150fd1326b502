// One user of the official Go SDK as the module proxy serves it. Commands in, events out, a JSON object on each line.
//
// Commands, by their member `do`:
//
//	connect {addr, uid, token, reconnect, heartbeat_ms}
//	send {channel_id, channel_type, texts}    one after the other, as the SDK does it
//
// Events, by their member `event`: dial (the SDK opens a socket), status, sent, message.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	wkproto "github.com/WuKongIM/WuKongIMGoProto"
	"github.com/WuKongIM/WuKongIMGoSDK/pkg/wksdk"
)

type command struct {
	Do          string   `json:"do"`
	Addr        string   `json:"addr"`
	UID         string   `json:"uid"`
	Token       string   `json:"token"`
	Reconnect   bool     `json:"reconnect"`
	HeartbeatMS int64    `json:"heartbeat_ms"`
	ChannelID   string   `json:"channel_id"`
	ChannelType uint8    `json:"channel_type"`
	Texts       []string `json:"texts"`
}

type event map[string]any

type text struct {
	Type    int    `json:"type"`
	Content string `json:"content"`
}

type user struct {
	lock   sync.Mutex
	events *json.Encoder
	sdk    *wksdk.Client
	sends  int
}

func main() {
	me := user{events: json.NewEncoder(os.Stdout)}
	os.Stdout = os.Stderr // The SDK prints there, and standard output is for events.
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var what command
		if err := json.Unmarshal(lines.Bytes(), &what); err != nil {
			panic(err)
		}
		switch what.Do {
		case "connect":
			me.connect(what)
		case "send":
			me.send(what)
		default:
			panic("no such command: " + what.Do)
		}
	}
}

func (u *user) say(what event) {
	u.lock.Lock()
	defer u.lock.Unlock()
	if err := u.events.Encode(what); err != nil {
		panic(err)
	}
}

func (u *user) connect(what command) {
	u.sdk = wksdk.NewClient(
		what.Addr,
		wksdk.WithUID(what.UID),
		wksdk.WithToken(what.Token),
		wksdk.WithReconnect(what.Reconnect),
		wksdk.WithPingInterval(time.Duration(what.HeartbeatMS)*time.Millisecond),
	)
	u.sdk.OnConnect(func(status wksdk.ConnectStatus, _ wkproto.ReasonCode) {
		if status == wksdk.CONNECTING {
			u.say(event{"event": "dial"})
		}
		u.say(event{"event": "status", "status": strings.ToLower(status.String())})
	})
	u.sdk.OnMessage(func(message *wksdk.Message) {
		u.say(event{
			"event":         "message",
			"message_id":    strconv.FormatInt(message.MessageID, 10),
			"message_seq":   message.MessageSeq,
			"client_msg_no": message.ClientMsgNo,
			"from_uid":      message.FromUID,
			"channel_id":    message.ChannelID,
			"channel_type":  message.ChannelType,
			"red_dot":       message.RedDot,
			"payload":       json.RawMessage(message.Payload),
		})
	})
	if err := u.sdk.Connect(); err != nil {
		fmt.Fprintln(os.Stderr, "connect:", err)
	}
}

func (u *user) send(what command) {
	channel := wkproto.Channel{ChannelID: what.ChannelID, ChannelType: what.ChannelType}
	for _, content := range what.Texts {
		payload, err := json.Marshal(text{1, content})
		if err != nil {
			panic(err)
		}
		u.sends++
		number := fmt.Sprintf("go-%d", u.sends)
		sendack, err := u.sdk.SendMessage(payload, channel, wksdk.SendOptionWithClientMsgNo(number))
		if sendack == nil {
			fmt.Fprintln(os.Stderr, "send:", err)
			continue
		}
		u.say(event{
			"event":         "sent",
			"message_id":    strconv.FormatInt(sendack.MessageID, 10),
			"message_seq":   sendack.MessageSeq,
			"reason":        sendack.ReasonCode,
			"client_msg_no": number,
		})
	}
}
