package pseudonym

import (
	"encoding/base64"
	"net"
	"testing"

	"footfall/events"
)

// wantKnown was computed with the openssl command:
//
//	printf 'shop\000\x02\x11\x22\x33\x44\x55' | openssl dgst -sha256 -hmac secret -binary |
//	  head -c 16 | basenc --base64url
const wantKnown = events.DeviceID("bFk_jJOR5hcOZr2RMaoSrg")

func TestDeviceMatchesOpenSSL(t *testing.T) {
	mac := net.HardwareAddr{0x02, 0x11, 0x22, 0x33, 0x44, 0x55}
	if got := Device([]byte("secret"), "shop", mac); got != wantKnown {
		t.Errorf("Device = %s, want %s", got, wantKnown)
	}
}

func TestDeviceDependsOnEveryInput(t *testing.T) {
	mac := net.HardwareAddr{0x02, 0x11, 0x22, 0x33, 0x44, 0x55}
	seen := map[events.DeviceID]string{}
	for _, c := range []struct {
		why      string
		key      string
		business events.BusinessID
		mac      net.HardwareAddr
	}{
		{"the base", "secret", "shop", mac},
		{"another key", "secret2", "shop", mac},
		{"another business", "secret", "cafe", mac},
		{"another address", "secret", "shop", net.HardwareAddr{0x02, 0x11, 0x22, 0x33, 0x44, 0x56}},
		{"a business that ends where the address begins", "secret", "shop\x02", mac},
	} {
		d := Device([]byte(c.key), c.business, c.mac)
		if b, err := base64.RawURLEncoding.DecodeString(string(d)); err != nil || len(d) != 22 || len(b) != 16 {
			t.Errorf("%s: %q is not 16 bytes in 22 characters of base64url (%v)", c.why, d, err)
		}
		if other, ok := seen[d]; ok {
			t.Errorf("%s has the same device as %s", c.why, other)
		}
		seen[d] = c.why
	}
}

func TestAddressBits(t *testing.T) {
	for _, c := range []struct {
		mac               string
		randomised, group bool
	}{
		{"00:1b:63:84:45:e6", false, false},
		{"02:1b:63:84:45:e6", true, false},
		{"01:00:5e:00:00:fb", false, true},
		{"33:33:00:00:00:01", true, true},
		{"da:a1:19:00:00:01", true, false},
	} {
		mac, err := net.ParseMAC(c.mac)
		if err != nil {
			t.Fatal(err)
		}
		if Randomised(mac) != c.randomised || Group(mac) != c.group {
			t.Errorf("%s: randomised %t, group %t; want %t, %t", c.mac, Randomised(mac), Group(mac), c.randomised, c.group)
		}
	}
}
