package local

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"footfall/local/gateway"
	"footfall/shared/pipeline"
	"footfall/shared/pseudonym"
)

// keysFile is where keys of pseudonyms are kept below the data directory: with
// other keys, every device there would be a new one.
const keysFile = "pseudonym-keys.json"

// openKeys finds the keys of pseudonyms, or makes them. They are read here for
// their mistakes alone: a function that cannot read them fails with each post,
// and only its log says why.
func (s *Stack) openKeys(context.Context, pipeline.Graph) error {
	path := s.o.PseudonymKeys
	if path == "" {
		path = filepath.Join(s.o.DataDir, keysFile)
		if err := makeKeys(path); err != nil {
			return fmt.Errorf("keys of pseudonyms: %w", err)
		}
	}
	path, err := filepath.Abs(path) // a function runs in a directory of its own
	if err != nil {
		return fmt.Errorf("keys of pseudonyms: %w", err)
	}
	document, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("keys of pseudonyms: %w", err)
	}
	if _, err := pseudonym.ParseKeys(document); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	s.o.PseudonymKeys = path
	return nil
}

// makeKeys writes one fresh key, for nobody else to read, unless the file is
// there. It comes into being whole: half a file would be refused for ever.
func makeKeys(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	// Two texts of 26 characters are over the 32 bytes that a key has at the least.
	document, err := json.Marshal(map[string]string{pseudonym.FirstKey: rand.Text() + rand.Text()})
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".keys-") // with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(append(document, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); !errors.Is(err, fs.ErrExist) { // another stack's, made at this moment
		return err
	}
	return nil
}

// startAPI puts the stage that takes posts behind HTTP.
func (s *Stack) startAPI(_ context.Context, g pipeline.Graph) error {
	for _, spec := range g.Stages {
		if !spec.HTTP || s.o.Listen == "" {
			continue
		}
		if s.api != nil {
			return fmt.Errorf("stage %s cannot listen at %s too", spec.Name, s.o.Listen)
		}
		api, err := gateway.Start(gateway.Options{
			Listen: s.o.Listen, Log: s.o.Log,
			Invoke: func(ctx context.Context, event []byte) ([]byte, error) {
				return s.runtime.Invoke(ctx, spec.Name, event)
			},
		})
		if err != nil {
			return err
		}
		s.api = api
		s.onClose(api.Close)
	}
	return nil
}

// IngestURL is where posts are taken, http://host:port; "" where none are.
func (s *Stack) IngestURL() string {
	if s.api == nil {
		return ""
	}
	return s.api.URL()
}
