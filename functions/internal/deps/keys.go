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

// keysMinAge is how soon the keys are read again for an id that is not among
// them. Whoever names a new key for a business adds it here first, so that only
// an environment from before that has to look.
const keysMinAge = time.Minute

// secretTimeout bounds the reading of a secret. Lambda ends the start of an
// environment after 10 s without a word of ours, and the SDK waits for 30 s for a
// connection: where the way to Secrets Manager is closed, nobody would learn of it.
const secretTimeout = 8 * time.Second

// Keys are the pseudonym keys of a file or of a secret in Secrets Manager. They
// are safe for concurrent use.
type Keys struct {
	read func(ctx context.Context) ([]byte, error)
	now  func() time.Time

	mu   sync.Mutex
	keys pseudonym.Keys
	at   time.Time // when they were read, or were to be
}

// readKeys reads the keys that are at where: the path of a file, or the ARN of a
// secret.
func readKeys(ctx context.Context, where string, cfg aws.Config) (*Keys, error) {
	if where == "" {
		return nil, errors.New("FOOTFALL_PSEUDONYM_KEYS: not set")
	}
	k := &Keys{now: invocation.WallClock, read: func(context.Context) ([]byte, error) { return os.ReadFile(where) }}
	if strings.HasPrefix(where, "arn:") {
		client := secretsmanager.NewFromConfig(cfg)
		k.read = func(ctx context.Context) ([]byte, error) { return readSecret(ctx, client, where) }
	}
	if err := k.refresh(ctx); err != nil {
		return nil, fmt.Errorf("FOOTFALL_PSEUDONYM_KEYS: %w", err)
	}
	return k, nil
}

func readSecret(ctx context.Context, client *secretsmanager.Client, arn string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, secretTimeout)
	defer cancel()
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
	switch {
	case err != nil:
		return nil, fmt.Errorf("read secret %s: %w", arn, err)
	case out.SecretString == nil:
		return nil, fmt.Errorf("secret %s is no text", arn)
	default:
		return []byte(*out.SecretString), nil
	}
}

// Business gives the key of a business under the master key of that id. An id
// that is not known has the keys read again, once a minute at most; it is an
// error where it is still not known then.
func (k *Keys) Business(ctx context.Context, id string, b events.BusinessID) (*pseudonym.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	id = cmp.Or(id, pseudonym.FirstKey)
	if !slices.Contains(k.keys.IDs(), id) && k.now().Sub(k.at) >= keysMinAge {
		if err := k.refresh(ctx); err != nil {
			return nil, fmt.Errorf("business %s: pseudonym key %q: %w", b, id, err)
		}
	}
	return k.keys.Business(id, b)
}

// refresh reads the keys. After an error the former ones stay.
func (k *Keys) refresh(ctx context.Context) error {
	k.at = k.now()
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
