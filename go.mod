module footfall

go 1.26.0

ignore ./node_modules

require (
	github.com/twmb/avro v1.9.0
	github.com/twmb/franz-go v1.22.2
	golang.org/x/sync v0.24.0
	pgregory.net/rapid v1.3.0
)

require (
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/pierrec/lz4/v4 v4.1.33 // indirect
	github.com/twmb/franz-go/pkg/kmsg v1.15.0 // indirect
)
