package deps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"footfall/events"
	"footfall/shared/invocation"
	"footfall/shared/pseudonym"
)

// keysMinAge is the minimum time between two reads of the keys. They are read again
// for an unknown id only. An operator adds a new key to the file or secret before
// a business names it, so only an environment older than the key has to read again.
const keysMinAge = time.Minute

// secretTimeout bounds the reading of a secret. Lambda ends the start of an
// environment after 10 s, without a log line of ours, and the SDK waits for 30 s
// for a connection. Without the timeout nothing would be logged if Secrets Manager
// cannot be reached.
const secretTimeout = 8 * time.Second

// Keys are the pseudonym keys of a file or of a secret in Secrets Manager. Their
// methods are safe for concurrent use.
type Keys struct {
	read func(ctx context.Context) ([]byte, error)
	now  func() time.Time

	mu          sync.Mutex
	keys        pseudonym.Keys
	attemptedAt time.Time // of the latest read, successful or not
}

// readKeys reads the keys of a source: the path of a file, or the ARN of a secret.
func readKeys(ctx context.Context, source string, cfg aws.Config) (*Keys, error) {
	if source == "" {
		return nil, errors.New("FOOTFALL_PSEUDONYM_KEYS: not set")
	}
	k := &Keys{now: invocation.WallClock, read: func(context.Context) ([]byte, error) { return os.ReadFile(source) }}
	if strings.HasPrefix(source, "arn:") {
		client := secretsmanager.NewFromConfig(cfg)
		k.read = func(ctx context.Context) ([]byte, error) { return readSecret(ctx, client, source) }
	}
	if err := k.refresh(ctx); err != nil {
		return nil, fmt.Errorf("FOOTFALL_PSEUDONYM_KEYS: %w", err)
	}
	return k, nil
}

// readSecret returns the text of a secret, within secretTimeout.
func readSecret(ctx context.Context, client *secretsmanager.Client, arn string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, secretTimeout)
	defer cancel()
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
	switch {
	case err != nil:
		return nil, fmt.Errorf("read secret %s: %w", arn, err)
	case out.SecretString == nil:
		return nil, fmt.Errorf("secret %s is binary; store the keys as text", arn)
	default:
		return []byte(*out.SecretString), nil
	}
}

// Business returns the key of business b under the master key with an id; the id ""
// is the first master key. If the id is unknown, Business reads the keys again, at
// most once a minute. It returns an error if the id is unknown after that.
func (k *Keys) Business(ctx context.Context, id string, b events.BusinessID) (*pseudonym.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	id = cmp.Or(id, pseudonym.FirstKey)
	// The key was added to the source after this environment had read it.
	if !slices.Contains(k.keys.IDs(), id) && k.now().Sub(k.attemptedAt) >= keysMinAge {
		if err := k.refresh(ctx); err != nil {
			return nil, fmt.Errorf("business %s: pseudonym key %q: %w", b, id, err)
		}
	}
	return k.keys.Business(id, b)
}

// refresh reads the keys. If it returns an error, the former keys stay.
func (k *Keys) refresh(ctx context.Context) error {
	k.attemptedAt = k.now()
	document, err := k.read(ctx)
	if err != nil {
		return err
	}
	keys, err := pseudonym.ParseKeys(document)
	if err != nil {
		return err
	}
	k.keys = keys
	return nil
}
