package senders

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

const secret = "an example secret"

// signatureOf returns the signature of a body as a sender makes it.
func signatureOf(secret string, body []byte) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// header returns the header lookup of a request with one header.
func header(name, value string) func(string) string {
	return func(asked string) string {
		if asked == name {
			return value
		}
		return ""
	}
}

// codeOf returns the code of a rejection, or "" for no error.
func codeOf(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var r *Rejection
	if !errors.As(err, &r) {
		t.Fatalf("got %v, want a *Rejection", err)
	}
	if r.Status == 0 || r.Status != Codes()[r.Code] {
		t.Errorf("%v: got status %d, want %d as listed for the code", err, r.Status, Codes()[r.Code])
	}
	return r.Code
}

func TestVerifySignature(t *testing.T) {
	body := []byte(`{"any": "body"}`)
	// printf '{"any": "body"}' | openssl dgst -sha256 -hmac 'an example secret'
	const known = "0ad5c78f9914ae7f18366fd03be4166671682232b16ee1b698306554a59a7c37"
	for kind, name := range map[string]string{
		CloudTrax: "Signature", Mist: "X-Mist-Signature-v2", Hostapd: "X-Footfall-Signature", Footfall: "X-Footfall-Signature",
	} {
		for _, c := range []struct {
			why, signature string
			secrets        []string
			body, want     string
		}{
			{"the known signature", known, []string{secret}, string(body), ""},
			{"upper case", strings.ToUpper(known), []string{secret}, string(body), ""},
			{"the second of two secrets", known, []string{"a former secret", secret}, string(body), ""},
			{"the first of two secrets", known, []string{secret, "a later secret"}, string(body), ""},
			{"another secret", known, []string{"another"}, string(body), BadSignature},
			{"another body", known, []string{secret}, string(body) + " ", BadSignature},
			{"no secret is set", known, nil, string(body), BadSignature},
			{"signed with no secret, and an empty one is set", signatureOf("", body), []string{""}, string(body), BadSignature},
			{"the start of it", known[:32], []string{secret}, string(body), BadSignature},
			{"more than it", known + "00", []string{secret}, string(body), BadSignature},
			{"no hexadecimal", "x" + known[1:], []string{secret}, string(body), BadSignature},
			{"the secret itself", secret, []string{secret}, string(body), BadSignature},
			{"nothing", "", []string{secret}, string(body), NoSignature},
			{"blanks", "  ", []string{secret}, string(body), NoSignature},
		} {
			err := formatOf(t, kind).Verify(header(name, c.signature), []byte(c.body), c.secrets)
			if got := codeOf(t, err); got != c.want {
				t.Errorf("%s, %s: got %q, want %q", kind, c.why, got, c.want)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%s, %s: the error holds the secret", kind, c.why)
			}
		}
		err := formatOf(t, kind).Verify(header("X-Other", known), body, []string{secret})
		if got := codeOf(t, err); got != NoSignature {
			t.Errorf("%s, the signature in another header: got %q, want %q", kind, got, NoSignature)
		}
	}
}

func TestVerifySecretInBody(t *testing.T) {
	for _, c := range []struct {
		why, body string
		secrets   []string
		want      string
	}{
		{"first field", `{"secret":"an example secret","data":{}}`, []string{secret}, ""},
		{"last field, with white space", "{ \"data\" : {\"a\":[1,{}]} ,\n\t\"secret\" :\t\"an example secret\" }", []string{secret}, ""},
		{"the second of two secrets", `{"secret":"an example secret"}`, []string{"former", secret}, ""},
		{"with escapes", `{"secret":"an \u0065xample secret"}`, []string{secret}, ""},
		{"a quote in it", `{"secret":"with \"quotes\""}`, []string{`with "quotes"`}, ""},
		{"white space that belongs to it", `{"secret":" padded "}`, []string{" padded "}, ""},
		{"white space that does not", `{"secret":" an example secret"}`, []string{secret}, BadSecret},
		{"a number", `{"secret":12345,"data":{}}`, []string{"12345"}, ""},
		{"next to NaN", `{"version":NaN,"secret":"an example secret"}`, []string{secret}, ""},
		{"what follows is cut off", `{"secret":"an example secret","da`, []string{secret}, ""},
		{"another", `{"secret":"a wrong secret"}`, []string{secret}, BadSecret},
		{"its start", `{"secret":"an example"}`, []string{secret}, BadSecret},
		{"in another case", `{"secret":"An Example Secret"}`, []string{secret}, BadSecret},
		{"the first of two counts", `{"secret":"wrong","secret":"an example secret"}`, []string{secret}, BadSecret},
		{"none is set", `{"secret":"an example secret"}`, nil, BadSecret},
		{"an empty one is set", `{"secret":"x"}`, []string{""}, BadSecret},
		{"empty, and an empty one is set", `{"secret":""}`, []string{""}, NoSecret},
		{"missing", `{"data":{}}`, []string{secret}, NoSecret},
		{"further down", `{"data":{"secret":"an example secret"}}`, []string{secret}, NoSecret},
		{"in an array", `[{"secret":"an example secret"}]`, []string{secret}, NoSecret},
		{"a value and no field", `{"version":"secret","x":"an example secret"}`, []string{secret}, NoSecret},
		{"a value of its name before it", `{"version":"secret","secret":"an example secret"}`, []string{secret}, ""},
		{"an element of an array", `["secret","an example secret"]`, []string{secret}, NoSecret},
		{"inside of a string", `{"x":"\"secret\":\"an example secret\""}`, []string{secret}, NoSecret},
		{"null", `{"secret":null}`, []string{""}, NoSecret},
		{"an object", `{"secret":{"secret":"an example secret"}}`, []string{secret}, NoSecret},
		{"cut off", `{"secret":"an example secret`, []string{secret}, NoSecret},
		{"cut off before the colon", `{"secret"`, []string{secret}, NoSecret},
		{"cut off after the colon", `{"secret":`, []string{secret}, NoSecret},
		{"cut off in the number", `{"secret":12`, []string{"12"}, NoSecret},
		{"cut off in its name", `{"secr`, []string{secret}, NoSecret},
		{"empty body", ``, []string{secret}, NoSecret},
	} {
		err := formatOf(t, Meraki).Verify(header("", ""), []byte(c.body), c.secrets)
		if got := codeOf(t, err); got != c.want {
			t.Errorf("%s: got %q, want %q", c.why, got, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "example") {
			t.Errorf("%s: the error holds the secret", c.why)
		}
	}
}

// Verify builds nothing from a body, however large: the sender is not known yet.
func TestVerifyBuildsNothing(t *testing.T) {
	body := []byte(`{"data":` + strings.Repeat(`[{"a":"b"},`, 100_000) + `"secret":"an example secret"`)
	n := testing.AllocsPerRun(3, func() { _ = verifySecret(body, []string{secret}) })
	if n > 10 {
		t.Errorf("got %v allocations for a body of %d bytes, want at most 10", n, len(body))
	}
}
