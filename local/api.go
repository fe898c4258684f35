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

// openKeys finds the file with the keys of pseudonyms, or creates it in a data
// directory without data: with other keys, every device in the data would become a
// new device. The keys are parsed here only to report mistakes: a function
// that cannot read them fails on each post, and only the function's log holds
// the reason.
func (s *Stack) openKeys(context.Context, pipeline.Graph) error {
	path := s.o.PseudonymKeys
	if path == "" {
		path = filepath.Join(s.o.DataDir, keysFile)
		if err := s.ownKeys(path); err != nil {
			return fmt.Errorf("keys of pseudonyms: %w", err)
		}
	}
	path, err := filepath.Abs(path) // a function has a working directory of its own
	if err != nil {
		return fmt.Errorf("keys of pseudonyms: %w", err)
	}
	// Report a missing or malformed file now.
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

// ownKeys creates the keys of a data directory that has none. If the directory has
// data, its keys are lost, or the data came by keys of another file.
func (s *Stack) ownKeys(path string) error {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) && s.hasHistory && !s.temporary {
		return fmt.Errorf("%s is missing, but there is data: with new keys every known device would become a new one. "+
			"Put the file back from a copy, or name the file of the keys that were used, or begin anew with another data directory", path)
	}
	return makeKeys(path)
}

// makeKeys writes a file with one fresh key, readable by its owner only, unless
// the file exists. The file appears under its name only when it is complete: a
// file with half a key would be rejected at every start.
func makeKeys(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	// Two texts of 26 characters are longer than the minimum of a key, 32
	// bytes.
	document, err := json.Marshal(map[string]string{pseudonym.FirstKey: rand.Text() + rand.Text()})
	if err != nil {
		return err
	}
	// Write a temporary file, which has mode 0600, and link it to its final
	// name.
	f, err := os.CreateTemp(filepath.Dir(path), ".keys-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(append(document, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); !errors.Is(err, fs.ErrExist) { // ErrExist: another stack has created the file meanwhile
		return err
	}
	return nil
}

// startAPI serves the stage that takes posts over HTTP.
func (s *Stack) startAPI(_ context.Context, g pipeline.Graph) error {
	for _, spec := range g.Stages {
		if !spec.HTTP || s.o.HTTPListen.HostPort == "" {
			continue
		}
		// There is one port, so only one stage can take posts.
		if s.api != nil {
			return fmt.Errorf("stage %s cannot listen at %s: another stage takes posts there", spec.Name, s.o.HTTPListen.HostPort)
		}
		err := s.o.HTTPListen.try(func(hostPort string) (err error) {
			s.api, err = gateway.Start(gateway.Options{
				Listen: hostPort, Log: s.o.Log,
				Invoke: func(ctx context.Context, event []byte) ([]byte, error) {
					return s.runtime.Invoke(ctx, spec.Name, event)
				},
			})
			return err
		})
		if err != nil {
			return err
		}
		s.onClose(s.api.Close)
	}
	return nil
}

// IngestURL returns the URL for posts of routers, http://host:port, or "" if
// the stack takes no posts.
func (s *Stack) IngestURL() string {
	if s.api == nil {
		return ""
	}
	return s.api.URL()
}
