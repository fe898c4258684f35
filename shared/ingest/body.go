package ingest

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"strings"
)

// Limits on bodies in bytes. Lambda takes events of 6 MB. Half the memory of a
// function is enough for what a body of maxUnpacked is parsed to.
const (
	maxBody     = 6 << 20
	maxUnpacked = 16 << 20
)

// readBody undoes base64, which the HTTP API puts around what is no text, and
// gzip. It reads no more than maxUnpacked, whatever a packed body claims to be.
func readBody(r *request) ([]byte, *refused) {
	encoding := strings.ToLower(strings.TrimSpace(r.header.Get("Content-Encoding")))
	if encoding != "" && encoding != "identity" && encoding != "gzip" {
		return nil, refuse(unsupportedEncoding)
	}
	body := []byte(r.Body)
	if r.IsBase64Encoded {
		n, err := base64.StdEncoding.Decode(body, body)
		if err != nil {
			return nil, refuse(badEncoding)
		}
		body = body[:n]
	}
	if encoding != "gzip" {
		return body, nil
	}
	return unpack(body)
}

func unpack(packed []byte) ([]byte, *refused) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, refuse(badEncoding)
	}
	body, err := io.ReadAll(io.LimitReader(z, maxUnpacked+1))
	switch {
	case len(body) > maxUnpacked:
		return nil, refuse(tooLarge)
	case err != nil:
		return nil, refuse(badEncoding)
	default:
		return body, nil
	}
}
