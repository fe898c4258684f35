package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/rogpeppe/go-internal/testscript"

	"footfall/events"
	"footfall/shared/forget"
	"footfall/shared/pipeline"
	"footfall/shared/pseudonym"
)

// people checks the contacts in the tables: people pick, then people gone. pick sets
// $BUSINESS, $CONTACT and $DEVICE to a contact that came twice, and remembers all
// items. gone checks that only the marker names the contact, and that all items that
// did not name it are unchanged.
func people(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: people pick|gone")
	}
	items := allItems(ts)
	if args[0] == "pick" {
		pickContact(ts, items)
		remembered = items
		return
	}
	contact := regexp.MustCompile(`\b` + regexp.QuoteMeta(ts.Getenv("CONTACT")) + `\b`)
	marker := pipeline.IdentitiesTable + " c#" + ts.Getenv("BUSINESS") + "/" + ts.Getenv("CONTACT")
	for name, i := range items {
		if text := describe(i); contact.MatchString(name+text) && (name != marker || i["ds"] != nil) {
			ts.Fatalf("%s: %s", name, text)
		}
	}
	others := 0
	for name, i := range remembered {
		text := describe(i)
		if contact.MatchString(name + text) {
			continue
		}
		others++
		if got := describe(items[name]); got != text {
			ts.Fatalf("%s is %s, was %s", name, got, text)
		}
	}
	if others == 0 || items[marker] == nil {
		ts.Fatalf("%d others, marker %v", others, items[marker])
	}
}

// remembered holds the items that people pick has read. Only one script uses it.
var remembered map[string]map[string]types.AttributeValue

// allItems returns the items of the tables with contacts, by table and key.
func allItems(ts *testscript.TestScript) map[string]map[string]types.AttributeValue {
	client, err := tableFlags{TableEndpoint: ts.Getenv("TABLES")}.tables(context.Background())
	ts.Check(err)
	all := map[string]map[string]types.AttributeValue{}
	for _, table := range []string{pipeline.IdentitiesTable, pipeline.PendingTable, pipeline.CountsTable} {
		pages := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{TableName: aws.String(table)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(context.Background())
			ts.Check(err)
			for _, i := range page.Items {
				name := table
				for _, key := range []string{"pk", "sk", "month"} {
					if v, ok := i[key].(*types.AttributeValueMemberS); ok {
						name += " " + v.Value
					}
				}
				all[name] = i
			}
		}
	}
	return all
}

// describe returns an item as text, since its attributes are pointers.
func describe(i map[string]types.AttributeValue) string {
	return fmt.Sprint(dynamoText(&types.AttributeValueMemberM{Value: i}))
}

func dynamoText(v types.AttributeValue) any {
	switch v := v.(type) {
	case *types.AttributeValueMemberM:
		all := map[string]any{}
		for name, one := range v.Value {
			all[name] = dynamoText(one)
		}
		return all
	case *types.AttributeValueMemberL:
		var all []any
		for _, one := range v.Value {
			all = append(all, dynamoText(one))
		}
		return all
	default:
		return fmt.Sprintf("%+v", v)
	}
}

func pickContact(ts *testscript.TestScript, items map[string]map[string]types.AttributeValue) {
	walkIns := map[string][]string{}
	for name, i := range items {
		if c, ok := i["c"].(*types.AttributeValueMemberS); ok && strings.HasPrefix(name, pipeline.PendingTable) {
			device, _, _ := strings.Cut(strings.TrimPrefix(name, pipeline.PendingTable+" "), " ")
			walkIns[c.Value] = append(walkIns[c.Value], device)
		}
	}
	for contact, devices := range walkIns {
		if len(devices) < 2 {
			continue
		}
		business, device, _ := strings.Cut(devices[0], "/")
		ts.Setenv("BUSINESS", business)
		ts.Setenv("CONTACT", contact)
		ts.Setenv("DEVICE", device)
		return
	}
	ts.Fatalf("no contact has two walk-ins")
}

// A MAC address given as a pseudonym is an error, not "nothing found": there may be
// data under its pseudonym.
func TestForgetDoesNotTakeAnAddressForADevice(t *testing.T) {
	for device, want := range map[events.DeviceID]string{
		"00-1B-63-84-45-E6": "--pseudonym-keys", "001b638445e6": "--pseudonym-keys", "1-rS_JZ_s5lx6i9hBXljr4ZQ": "",
	} {
		var out strings.Builder
		err := (&forgetCmd{}).finish(streams{out: &out}, &forget.Report{Business: "cafe", Device: device}, time.Now(), nil)
		if (err != nil) != (want != "") || err != nil && (!strings.Contains(err.Error(), want) || out.Len() > 0) {
			t.Errorf("%s: error %v, output %q", device, err, out.String())
		}
	}
}

// If the brokers cannot be reached, for example by a mistyped address, no table is
// touched: a contact with only its marker would be half forgotten.
func TestForgetChangesNoTableWithoutBrokers(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	c := forgetCmd{
		clusterFlags: clusterFlags{Brokers: []string{gone.Addr().String()}, KafkaAuth: "none"},
		tableFlags:   tableFlags{TableEndpoint: "http://" + gone.Addr().String()},
		Business:     "cafe", Contact: "ann", Yes: true,
	}
	if err := c.Run(t.Context(), streams{}); err == nil || !strings.Contains(err.Error(), "nothing was removed") {
		t.Errorf("error %v", err)
	}
}

// forget searches under every key of the file, so that a business that changed its
// key has no remainder.
func TestForgetFindsTheDeviceOfAMAC(t *testing.T) {
	document := []byte(`{"1": "a secret of thirty-two bytes, or of more", "2": "another secret of thirty-two bytes or more"}`)
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, document, 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := pseudonym.ParseKeys(document)
	if err != nil {
		t.Fatal(err)
	}
	var want []events.DeviceID
	for _, id := range []string{"1", "2"} {
		key, err := keys.Business(id, "cafe")
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, key.Device([6]byte{0x00, 0x1b, 0x63, 0x84, 0x45, 0xe6}))
	}
	c := forgetCmd{Business: "cafe", Mac: []string{"00-1B-63-84-45-E6"}, keysFlag: keysFlag{file}}
	if got, err := c.pseudonyms(); err != nil || !slices.Equal(got, want) {
		t.Errorf("found %q (%v), want %q", got, err, want)
	}
}
