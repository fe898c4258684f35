package deps

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

const (
	oneKey  = `{"1": "a first secret of thirty-two bytes"}`
	twoKeys = `{"1": "a first secret of thirty-two bytes", "2": "a second secret of thirty-two bytes"}`
)

func keyFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	write(t, path, content)
	return path
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// For an unknown id the keys are read again, at most once a minute. A known key stays
// even if the file is damaged later.
func TestKeysAreReadAgainForAnUnknownID(t *testing.T) {
	path := keyFile(t, oneKey)
	k, err := readKeys(t.Context(), path, aws.Config{})
	if err != nil {
		t.Fatal(err)
	}
	now := k.now()
	if strings.Contains(now.String(), "m=") {
		t.Errorf("%v has a reading of the monotonic clock, which stands still in a frozen environment", now)
	}
	k.now = func() time.Time { return now }
	known := func(id string) bool {
		t.Helper()
		_, err := k.Business(t.Context(), id, "cafe-1")
		return err == nil
	}
	if !known("") || !known("1") || known("2") {
		t.Error("want key 1 known and key 2 unknown")
	}
	write(t, path, twoKeys)
	now = now.Add(keysMinAge - time.Second)
	if known("2") {
		t.Error("the keys were read again within a minute")
	}
	now = now.Add(2 * time.Second)
	if !known("2") {
		t.Error("the keys were not read again after a minute")
	}
	write(t, path, "{}")
	now = now.Add(time.Hour)
	if !known("1") || !known("2") || known("3") || !known("2") {
		t.Error("a damaged file took known keys away, or added one")
	}
}

// The errors of reading keys name the mistake and never quote a key.
func TestErrorsOfReadingKeys(t *testing.T) {
	for _, tt := range []struct{ name, source, want string }{
		{"not set", "", "FOOTFALL_PSEUDONYM_KEYS: not set"},
		{"no file", filepath.Join(t.TempDir(), "none"), "no such file"},
		{"no keys", keyFile(t, `{}`), "there is no key"},
		{"a short one", keyFile(t, `{"1": "confidential"}`), "key 1 has 12 bytes"},
		{"no JSON", keyFile(t, `confidential`), "not one whole JSON value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readKeys(t.Context(), tt.source, aws.Config{})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "confidential") {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

// The secret is read through AWS's client, from a server that answers as Secrets
// Manager does (its API reference, "GetSecretValue").
func TestKeysFromSecretsManager(t *testing.T) {
	const arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:keys-AbCdEf"
	answer := map[string]any{"ARN": arn, "SecretString": twoKeys}
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			SecretID string `json:"SecretId"`
		}
		if json.NewDecoder(r.Body).Decode(&asked) != nil || asked.SecretID != arn || r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" {
			t.Errorf("asked for %q by %q", asked.SecretID, r.Header.Get("X-Amz-Target"))
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(server.Close)
	cfg := aws.Config{
		Region: "eu-central-1", BaseEndpoint: aws.String(server.URL),
		Credentials: credentials.NewStaticCredentialsProvider("x", "x", ""),
	}
	k, err := readKeys(t.Context(), arn, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Business(t.Context(), "2", "cafe-1"); err != nil {
		t.Error(err)
	}
	// If the server never answers, the error must come before Lambda's 10 s are over.
	var left time.Duration
	cfg.HTTPClient = httpClient(func(r *http.Request) (*http.Response, error) {
		end, _ := r.Context().Deadline()
		left = time.Until(end)
		return http.DefaultClient.Do(r)
	})
	if _, err := readKeys(t.Context(), arn, cfg); err != nil || left <= 0 || left > 9*time.Second {
		t.Errorf("got a timeout of %v (%v), want at most 9 s", left, err)
	}
	answer = map[string]any{"ARN": arn, "SecretBinary": "eA=="}
	if _, err := readKeys(t.Context(), arn, cfg); err == nil || !strings.Contains(err.Error(), "is binary") {
		t.Errorf("a binary secret: got %v", err)
	}
	status, answer = http.StatusBadRequest, map[string]any{"__type": "ResourceNotFoundException", "message": "Secrets Manager can't find the specified secret."}
	if _, err := readKeys(t.Context(), arn, cfg); err == nil || !strings.Contains(err.Error(), arn) || !strings.Contains(err.Error(), "ResourceNotFoundException") {
		t.Errorf("no such secret: got %v", err)
	}
}

// httpClient is an HTTP client of AWS's SDK that is one function.
type httpClient func(*http.Request) (*http.Response, error)

func (c httpClient) Do(r *http.Request) (*http.Response, error) { return c(r) }
