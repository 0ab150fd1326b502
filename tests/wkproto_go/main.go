// Encodes and decodes packets with WuKongIM's own Go code, one JSON object a line in and out.
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"log"
	"os"

	proto "github.com/WuKongIM/WuKongIMGoProto"
)

// A request asks to encode Packet, to decode Hex, or both.
type request struct {
	Type    proto.FrameType
	Version uint8
	Packet  json.RawMessage
	Hex     string
}

// An answer has Type 0 if nothing was decoded; then Error says why, and is empty if bytes are missing.
type answer struct {
	Hex    string
	Signed string
	Type   proto.FrameType
	Packet proto.Frame
	Used   int
	Error  string
}

func emptyFrame(frameType proto.FrameType) proto.Frame {
	switch frameType {
	case proto.CONNECT:
		return &proto.ConnectPacket{}
	case proto.CONNACK:
		return &proto.ConnackPacket{}
	case proto.SEND:
		return &proto.SendPacket{}
	case proto.SENDACK:
		return &proto.SendackPacket{}
	case proto.RECV:
		return &proto.RecvPacket{}
	case proto.RECVACK:
		return &proto.RecvackPacket{}
	case proto.PING:
		return &proto.PingPacket{}
	case proto.PONG:
		return &proto.PongPacket{}
	case proto.DISCONNECT:
		return &proto.DisconnectPacket{}
	case proto.SUB:
		return &proto.SubPacket{}
	case proto.SUBACK:
		return &proto.SubackPacket{}
	}
	return &proto.EventPacket{}
}

func encode(asked request, answered *answer) {
	frame := emptyFrame(asked.Type)
	if err := json.Unmarshal(asked.Packet, frame); err != nil {
		log.Fatal(err)
	}
	data, err := proto.New().EncodeFrame(frame, asked.Version)
	if err != nil {
		log.Fatal(err)
	}
	answered.Hex = hex.EncodeToString(data)
	if signed, ok := frame.(interface{ VerityString() string }); ok {
		answered.Signed = hex.EncodeToString([]byte(signed.VerityString()))
	}
}

func decode(asked request, answered *answer) {
	data, err := hex.DecodeString(asked.Hex)
	if err != nil {
		log.Fatal(err)
	}
	frame, used, err := proto.New().DecodeFrame(data, asked.Version)
	if err != nil {
		answered.Error = err.Error()
	} else if frame != nil {
		answered.Type, answered.Packet, answered.Used = frame.GetFrameType(), frame, used
	}
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	answers := json.NewEncoder(out)
	for lines.Scan() {
		var asked request
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			log.Fatal(err)
		}
		var answered answer
		if asked.Packet != nil {
			encode(asked, &answered)
		}
		if asked.Hex != "" {
			decode(asked, &answered)
		}
		if err := answers.Encode(answered); err != nil {
			log.Fatal(err)
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
	if err := out.Flush(); err != nil {
		log.Fatal(err)
	}
}
