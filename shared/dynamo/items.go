package dynamo

import (
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Names of attributes. They are short because DynamoDB bills the bytes of an
// item with its names. Times are milliseconds since 1970, expiries seconds (TTL
// wants them so); an attribute that would be empty, false or the zero time is
// left out.
//
//	visit-log   chain S, seq N                       d data B, expires N
//	identities  pk "d#business/device"               v version N, b bindings (L of M with c, f, u, o), r randomised, l last seen N
//	            pk "c#business/contact"              v version N, ds devices (L of S), x deleted, c merged into, f merged at, g forgotten at, expires N
//	pending     pk "business/device", sk "start#id"  t confirmed at N, a anonymous, c contact S, f bound at N, l last seen N, expires N
//	businesses  pk "business"                        v version N, d history of settings S (JSON)
//	            pk "business/door"                   v version N, d door S (JSON)
//	            pk "/changed"                        u until N
//	counts      pk "business/contact", month         fs facts SS; of before there were facts: n total N, ids walk-in ids SS
//	            month "base"                         n base N, v version N
const (
	keyChain       = "chain"
	keySeq         = "seq"
	keyPK          = "pk"
	keySK          = "sk"
	keyMonth       = "month"
	attrExpires    = "expires"
	attrData       = "d"
	attrVersion    = "v"
	attrBindings   = "b"
	attrContact    = "c"
	attrFrom       = "f"
	attrUntil      = "u"
	attrMergedFrom = "o"
	attrRandom     = "r"
	attrLastSeen   = "l"
	attrDevices    = "ds"
	attrDeleted    = "x"
	attrForgotten  = "g"
	attrConfirmed  = "t"
	attrAnonymous  = "a"
	attrTotal      = "n"
	attrIDs        = "ids"
	attrFacts      = "fs"
)

// item is one item, its key, or the values of an expression.
type item map[string]types.AttributeValue

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func num(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// setTime stores t in milliseconds; the zero time is left out.
func (i item) setTime(name string, t time.Time) {
	if !t.IsZero() {
		i[name] = num(t.UnixMilli())
	}
}

// setExpiry stores t in seconds, as TTL wants it; the zero time never expires.
func (i item) setExpiry(t time.Time) {
	if !t.IsZero() {
		i[attrExpires] = num(t.Unix())
	}
}

func (i item) setFlag(name string, set bool) {
	if set {
		i[name] = &types.AttributeValueMemberBOOL{Value: true}
	}
}

// reader takes an item apart. An absent attribute reads as zero; the first one
// of a wrong type is kept in err, so that one check at the end is enough. An
// item that does not fit must never pass for an empty one: a stage would decide
// that nobody was ever here.
type reader struct {
	item item
	err  error
}

// get gives an attribute as the type that the caller calls for, or the zero
// value (nil) of that type.
func get[T types.AttributeValue](r *reader, name string) T {
	var none T
	v, ok := r.item[name]
	if !ok {
		return none
	}
	typed, ok := v.(T)
	if !ok {
		r.fail(name, fmt.Errorf("a %T", v))
		return none
	}
	return typed
}

func (r *reader) fail(name string, err error) {
	if r.err == nil {
		r.err = fmt.Errorf("attribute %s does not fit: %w", name, err)
	}
}

func (r *reader) str(name string) string {
	if v := get[*types.AttributeValueMemberS](r, name); v != nil {
		return v.Value
	}
	return ""
}

func (r *reader) bytes(name string) []byte {
	if v := get[*types.AttributeValueMemberB](r, name); v != nil {
		return v.Value
	}
	return nil
}

func (r *reader) flag(name string) bool {
	v := get[*types.AttributeValueMemberBOOL](r, name)
	return v != nil && v.Value
}

func (r *reader) list(name string) []types.AttributeValue {
	if v := get[*types.AttributeValueMemberL](r, name); v != nil {
		return v.Value
	}
	return nil
}

func (r *reader) set(name string) []string {
	if v := get[*types.AttributeValueMemberSS](r, name); v != nil {
		return v.Value
	}
	return nil
}

func (r *reader) num(name string) int64 {
	v := get[*types.AttributeValueMemberN](r, name)
	if v == nil {
		return 0
	}
	n, err := strconv.ParseInt(v.Value, 10, 64)
	if err != nil {
		r.fail(name, err)
	}
	return n
}

func (r *reader) time(name string) time.Time {
	if _, ok := r.item[name]; !ok {
		return time.Time{}
	}
	return time.UnixMilli(r.num(name)).UTC()
}
