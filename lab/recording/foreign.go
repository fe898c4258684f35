package recording

import (
	"bytes"
	"fmt"
)

// foreign are formats that are recognised but not read, by their first bytes,
// each with the way to a format that is read.
var foreign = []struct{ start, format, wayOut string }{
	{"\x34\xcd\xb2\xa1", "a \"modified\" pcap", editcap},
	{"\xa1\xb2\xcd\x34", "a \"modified\" pcap", editcap},
	{"\x1c\x00\x01\xac", "an IXIA capture", editcap},
	{"\xac\x01\x00\x1c", "an IXIA capture", editcap},
	{"\x1c\x00\x01\xab", "an IXIA capture", editcap},
	{"\xab\x01\x00\x1c", "an IXIA capture", editcap},
	{"\xa1\xb2\xc3\xcd", "a pcap of another make", editcap},
	{"\xcd\xc3\xb2\xa1", "a pcap of another make", editcap},
	{"\xa1\x2b\x3c\x4d", "a Navtel capture", editcap},
	{"\x4d\x3c\x2b\xa1", "a Navtel capture", editcap},
	{"snoop\x00\x00\x00", "a snoop capture", editcap},
	{"GMBU", "a capture of Network Monitor", editcap},
	{"RTSS", "a capture of Network Monitor", editcap},
	{"TRSNIFF data", "a Sniffer capture", editcap},
	{"\xff\xfe\x00\x00", "UTF-32 text", "convert it to UTF-8: iconv -f UTF-32 -t UTF-8 IN > OUT"},
	{"\x00\x00\xfe\xff", "UTF-32 text", "convert it to UTF-8: iconv -f UTF-32 -t UTF-8 IN > OUT"},
	{"\xff\xfe", "UTF-16 text", utf16},
	{"\xfe\xff", "UTF-16 text", utf16},
	{"SQLite format 3\x00", "an SQLite file, such as a .kismet log", "convert it: kismetdb_to_pcap --in IN --out OUT"},
	{"PK\x03\x04", "a zip archive or a spreadsheet", "unpack it, or save the sheet as CSV"},
	{"\xd0\xcf\x11\xe0", "a spreadsheet of Excel", "save the sheet as CSV"},
	{"PAR1", "a Parquet file", "write CSV: pandas.read_parquet(IN).to_csv(OUT, index=False)"},
	{"\x28\xb5\x2f\xfd", "compressed by zstd", "unpack it: zstd -d IN"},
	{"\xfd7zXZ\x00", "compressed by xz", "unpack it: xz -d IN"},
	{"BZh", "compressed by bzip2", "unpack it: bzip2 -d IN"},
	{"\x04\x22\x4d\x18", "compressed by lz4", "unpack it: lz4 -d IN"},
	{"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it: 7z x IN"},
	{"<?xml", "an XML file", tshark},
	{"<pdml", "an XML file", tshark},
}

const (
	editcap = "convert it: editcap -F pcap IN OUT"
	utf16   = "convert it to UTF-8: iconv -f UTF-16 -t UTF-8 IN > OUT"
	tshark  = "write CSV instead: tshark -n -r CAPTURE -T fields -E header=y " +
		"-e frame.time_epoch -e wlan.sa -e radiotap.dbm_antsignal -e wlan.fc.type_subtype"
)

// foreignFormat returns an error if the first bytes of a file belong to a
// format that is not read. The error names the format and the way out.
func foreignFormat(name string, start []byte) error {
	for _, f := range foreign {
		if bytes.HasPrefix(start, []byte(f.start)) {
			return refusal(name, f.format, f.wayOut)
		}
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(start, utf8Mark), " \t\r\n")
	encoding := unmarkedUTF16(start)
	switch {
	case bytes.HasPrefix(text, []byte{'['}):
		return refusal(name, "a JSON array", "write one object a line: jq -c '.[]' IN > OUT")
	case bytes.HasPrefix(text, []byte("BSSID, First time seen")):
		return refusal(name, "the list of airodump-ng", "it holds no single sightings: capture with tcpdump -y IEEE802_11_RADIO")
	case encoding != "":
		return refusal(name, "UTF-16 text", "convert it to UTF-8: iconv -f "+encoding+" -t UTF-8 IN > OUT")
	}
	return nil
}

// unmarkedUTF16 returns the encoding of a text in UTF-16 without a byte order
// mark, or "". Every second byte of its first characters is 0.
func unmarkedUTF16(start []byte) string {
	if len(start) < 4 {
		return ""
	}
	switch zeros := [4]bool{start[0] == 0, start[1] == 0, start[2] == 0, start[3] == 0}; zeros {
	case [4]bool{false, true, false, true}:
		return "UTF-16LE"
	case [4]bool{true, false, true, false}:
		return "UTF-16BE"
	default:
		return ""
	}
}

// refusal returns the error for a format that is not read.
func refusal(name, format, wayOut string) error {
	return fmt.Errorf("%s: is %s, which is not read; %s", name, format, wayOut)
}
