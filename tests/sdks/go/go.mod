module sdkuser

go 1.20

require (
	github.com/WuKongIM/WuKongIMGoProto v1.0.0
	github.com/WuKongIM/WuKongIMGoSDK v1.0.0
)

require (
	github.com/google/uuid v1.3.0 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	go.uber.org/atomic v1.11.0 // indirect
	golang.org/x/crypto v0.11.0 // indirect
)
