package endpoint

import "testing"

func TestReachable(t *testing.T) {
	for listenAddr, want := range map[string]string{
		"127.0.0.1:8080":     "127.0.0.1:8080",
		"192.168.1.5:8080":   "192.168.1.5:8080",
		"localhost:8080":     "localhost:8080",
		"[::1]:8080":         "[::1]:8080",
		"0.0.0.0:8080":       "127.0.0.1:8080",
		"[::]:8080":          "127.0.0.1:8080",
		":8080":              "127.0.0.1:8080",
		"no address of ours": "no address of ours",
	} {
		if got := Reachable(listenAddr); got != want {
			t.Errorf("Reachable(%q) = %q, want %q", listenAddr, got, want)
		}
	}
}
