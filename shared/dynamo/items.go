package dynamo

import (
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Names of attributes are short because DynamoDB bills the bytes of an item with the
// names. Times are in milliseconds since 1970, expiries in seconds, as TTL requires.
// An attribute that would be empty, false or the zero time is left out. The items of
// each table, with S for a string, N for a number, B for bytes, L for a list, M for a
// map and SS for a set of strings:
//
//	visit-log   chain S, seq N                       d data B, expires N
//	identities  pk "d#business/device"               v version N, b bindings (L of M: c contact, f from, u until, o merged from), r randomised, l last seen N
//	            pk "c#business/contact"              v version N, ds devices (L of S), x deleted, c merged into, f merged at, g forgotten at, expires N
//	pending     pk "business/device", sk "start#id"  t confirmed at N, a anonymous, c contact S, f bound at N, l last seen N, expires N
//	businesses  pk "business"                        v version N, d history of settings S (JSON)
//	            pk "business/door"                   v version N, d door S (JSON)
//	            pk "/changed"                        u until N
//	counts      pk "business/contact", month         fs facts SS; in items from before facts were kept: n total N, ids walk-in ids SS
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

// item is an item of a table, the key of one, or the values of an expression.
type item map[string]types.AttributeValue

// str returns s as an attribute.
func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

// num returns n as an attribute.
func num(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// setTime sets an attribute to t in milliseconds, or to nothing if t is zero.
func (i item) setTime(name string, t time.Time) {
	if !t.IsZero() {
		i[name] = num(t.UnixMilli())
	}
}

// setExpiry sets the expiry to t in seconds, as TTL requires. An item never
// expires if t is zero.
func (i item) setExpiry(t time.Time) {
	if !t.IsZero() {
		i[attrExpires] = num(t.Unix())
	}
}

// setFlag sets an attribute to true, or to nothing if set is false.
func (i item) setFlag(name string, set bool) {
	if set {
		i[name] = &types.AttributeValueMemberBOOL{Value: true}
	}
}

// reader reads the attributes of an item. An absent attribute reads as zero. The
// first attribute of a wrong type is kept in err, so a single check at the end is
// enough. Without the check an unreadable item would pass for an empty item, and a
// stage would decide that the device was never seen.
type reader struct {
	item item
	err  error
}

// get returns an attribute as type T. It returns nil if the attribute is absent, and
// also, with an error in r, if the attribute is of another type.
func get[T types.AttributeValue](r *reader, name string) T {
	var none T
	v, ok := r.item[name]
	if !ok {
		return none
	}
	typed, ok := v.(T)
	if !ok {
		r.fail(name, fmt.Errorf("unexpected type %T", v))
		return none
	}
	return typed
}

// fail keeps the first error of an attribute.
func (r *reader) fail(name string, err error) {
	if r.err == nil {
		r.err = fmt.Errorf("attribute %s cannot be read: %w", name, err)
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
