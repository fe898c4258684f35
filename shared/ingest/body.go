package ingest

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"strings"
)

// Limits of bodies in bytes. Lambda accepts events of 6 MB. A parsed body of
// maxUnpacked fits into half the memory of the function.
const (
	maxBody     = 6 << 20
	maxUnpacked = 16 << 20
)

// readBody decodes the body of a request: first base64, which the HTTP API puts
// around anything but text, then gzip.
func readBody(r *request) ([]byte, *rejection) {
	// Check the encoding before anything is decoded.
	encoding := strings.ToLower(strings.TrimSpace(r.header.Get("Content-Encoding")))
	if encoding != "" && encoding != "identity" && encoding != "gzip" {
		return nil, reject(unsupportedEncoding)
	}
	body := []byte(r.Body)
	if r.IsBase64Encoded {
		n, err := base64.StdEncoding.Decode(body, body)
		if err != nil {
			return nil, reject(badEncoding)
		}
		body = body[:n]
	}
	if encoding != "gzip" {
		return body, nil
	}
	return unpack(body)
}

// unpack decodes gzip. It reads at most one byte more than maxUnpacked, however
// large the unpacked body would be.
func unpack(packed []byte) ([]byte, *rejection) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, reject(badEncoding)
	}
	body, err := io.ReadAll(io.LimitReader(z, maxUnpacked+1))
	switch {
	case len(body) > maxUnpacked:
		return nil, reject(tooLarge)
	case err != nil:
		return nil, reject(badEncoding)
	default:
		return body, nil
	}
}
