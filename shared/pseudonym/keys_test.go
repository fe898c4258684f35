package pseudonym

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParseKeysRejects(t *testing.T) {
	const marked = "SECRET-of-exactly-40-bytes-of-some-value"
	for _, c := range []struct{ why, document, want string }{
		{"nothing", ``, "not one whole JSON value"},
		{"no key", `{}`, "there is no key"},
		{"an array", `["` + marked + `"]`, "not a JSON object"},
		{"a string", `"` + marked + `"`, "not a JSON object"},
		{"cut off", `{"1": "` + marked + `"`, "not one whole JSON value"},
		{"more behind it", `{"1": "` + marked + `"} "` + marked + `"`, "not one whole JSON value"},
		{"31 bytes", `{"1": "` + marked[:31] + `"}`, "key 1 has 31 bytes, at least 32 are needed"},
		{"a number", `{"1": "` + marked + `", "2": 12345678901234567890123456789012}`, "the secret of key 2 is no string"},
		{"null", `{"1": null}`, "the secret of key 1 is no string"},
		{"an object", `{"1": {"secret": "` + marked + `"}}`, "the secret of key 1 is no string"},
		{"an empty id", `{"": "` + marked + `"}`, "the id of key 1 of 1"},
		{"a long id", `{"123456789": "` + marked + `"}`, "the id of key 1 of 1"},
		{"a dash, which ends an id in a pseudonym", `{"1-2": "` + marked + `"}`, "the id of key 1 of 1"},
		{"id and secret exchanged", `{"` + marked + `": "1"}`, "the id of key 1 of 1"},
		{"an id twice", `{"1": "` + marked + `", "1": "` + secret1 + `"}`, "key 1 is given twice"},
		{"two mistakes, the first", `{"1": "` + marked[:9] + `", "2": ""}`, "key 1 has 9 bytes"},
		{"two mistakes, the second", `{"1": "` + marked[:9] + `", "2": ""}`, "key 2 has 0 bytes"},
	} {
		_, err := ParseKeys([]byte(c.document))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.why, err, c.want)
		}
		if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), "SECRET") {
			t.Errorf("%s: the error shows the secret: %v", c.why, err)
		}
	}
}

func TestKeysPrintNoSecret(t *testing.T) {
	k := exampleKeys(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(verb, k); s != "pseudonym keys [1 b2]" {
			t.Errorf("%s prints %q, want the ids alone", verb, s)
		}
	}
	key := businessKey(t, "b2", "shop")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(verb, key); s != "pseudonym key b2" {
			t.Errorf("%s prints %q, want the ids alone", verb, s)
		}
	}
	if !slices.Equal(k.IDs(), []string{"1", "b2"}) {
		t.Errorf("IDs = %v, want [1 b2]", k.IDs())
	}
}

func TestBusinessWithAnUnknownKey(t *testing.T) {
	if _, err := exampleKeys(t).Business("3", "shop"); err == nil || !strings.Contains(err.Error(), `no pseudonym key "3"`) {
		t.Errorf("error %v, want one that names the unknown key", err)
	}
	only2, err := ParseKeys([]byte(`{"2": "` + secret2 + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := only2.Business("", "shop"); err == nil {
		t.Error("Business returned a key for a business that names none, although key 1 does not exist")
	}
}
