package dynamo

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// FuzzItems checks that no item makes the decoders panic, and that a decoded item is
// the stored one: the key of an attribution is the item's key, and a history and a
// changelog item are the same when decoded a second time. Items are in DynamoDB's
// JSON.
func FuzzItems(f *testing.F) {
	for _, seed := range []string{
		`{"pk":{"S":"shop/phone"},"sk":{"S":"2026-11-20T12:00:00.000Z#00112233445566778899aabbccddeeff"},"t":{"N":"1"},"a":{"BOOL":true},"c":{"S":"anna"},"f":{"N":"2"}}`,
		`{"pk":{"S":"d#shop/phone"},"v":{"N":"1"},"b":{"L":[{"M":{"c":{"S":"anna"},"f":{"N":"1"},"u":{"N":"2"}}}]},"r":{"BOOL":true},"l":{"N":"9"}}`,
		`{"pk":{"S":"shop/phone"},"sk":{"S":"2026-11-20T9:00:00,000Z#id"}}`,
		`{"chain":{"S":"c"},"seq":{"N":"0"},"d":{"B":"AA=="},"ids":{"SS":["x"]}}`,
		`{"pk":{"N":"1"},"sk":{"L":[{"S":"x"}]},"b":{"L":[{"M":{}}]},"v":{"N":"1e400"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var raw map[string]any
		if json.Unmarshal(text, &raw) != nil {
			return
		}
		row := attributes(raw)
		if a, err := attribution(row); err == nil {
			if key := walkInKey(a.WalkIn); !reflect.DeepEqual(key, item{keyPK: row[keyPK], keySK: row[keySK]}) {
				t.Fatalf("%s is decoded as %+v, whose key is %v", text, a, key)
			}
		}
		h, version, err := history(row)
		h2, version2, err2 := history(row)
		if (err == nil) != (err2 == nil) || version != version2 || !reflect.DeepEqual(h, h2) {
			t.Fatalf("%s is decoded as %+v, then as %+v", text, h, h2)
		}
		if err == nil && len(h.Bindings) > 0 && len(h.Bindings) != len(bindingList(h.Bindings).(*types.AttributeValueMemberL).Value) {
			t.Fatalf("%s has %d bindings, and another number when encoded", text, len(h.Bindings))
		}
		if one, err := logItem(row); err == nil && row[attrData] != nil && !reflect.DeepEqual(row[attrData], types.AttributeValue(&types.AttributeValueMemberB{Value: one.Data})) {
			t.Fatalf("%s is decoded as %+v", text, one)
		}
	})
}

// attributes decodes DynamoDB's JSON. Attributes of unknown types are left out.
func attributes(raw map[string]any) item {
	row := item{}
	for name, v := range raw {
		if typed, ok := v.(map[string]any); ok {
			if value := attribute(typed); value != nil {
				row[name] = value
			}
		}
	}
	return row
}

// attribute decodes one attribute, nil if its type is unknown.
func attribute(typed map[string]any) types.AttributeValue {
	for kind, v := range typed {
		switch v := v.(type) {
		case string:
			switch kind {
			case "S":
				return &types.AttributeValueMemberS{Value: v}
			case "N":
				return &types.AttributeValueMemberN{Value: v}
			case "B":
				return &types.AttributeValueMemberB{Value: []byte(v)}
			}
		case bool:
			return &types.AttributeValueMemberBOOL{Value: v}
		case map[string]any:
			return &types.AttributeValueMemberM{Value: attributes(v)}
		case []any:
			list := &types.AttributeValueMemberL{}
			for _, e := range v {
				if typed, ok := e.(map[string]any); ok {
					list.Value = append(list.Value, attribute(typed))
				}
			}
			return list
		}
	}
	return nil
}
