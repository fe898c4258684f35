package runtime

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// echo is the path of the test function, built from testdata/echo.
var echo string

func TestMain(m *testing.M) {
	if mode := os.Getenv(modeVariable); mode != "" {
		modes[mode]()
		return
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "runtime-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	echo = filepath.Join(dir, "bootstrap")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", echo, "./testdata/echo")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build testdata/echo: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// start runs one function, named "echo" unless spec names it.
func start(t *testing.T, spec Function, o Options) *Runtime {
	t.Helper()
	if spec.Name == "" {
		spec.Name = "echo"
	}
	if spec.Path == "" {
		spec.Path = echo
	}
	o.Functions = append(o.Functions, spec)
	r, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func event(do, text string, size int) []byte {
	b, err := json.Marshal(map[string]any{"Do": do, "Text": text, "Size": size})
	if err != nil {
		panic(err)
	}
	return b
}

func invoke(t *testing.T, r *Runtime, payload []byte) []byte {
	t.Helper()
	answer, err := r.Invoke(t.Context(), "echo", payload)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// fails invokes the function and returns the FunctionError, which must be the
// error.
func fails(t *testing.T, r *Runtime, payload []byte) *FunctionError {
	t.Helper()
	answer, err := r.Invoke(t.Context(), "echo", payload)
	var failure *FunctionError
	if !errors.As(err, &failure) {
		t.Fatalf("got %q, %v, want a FunctionError", answer, err)
	}
	return failure
}

type description struct {
	Pid       int
	RequestID string
	ARN       string
	Trace     string
	Left      int64
	Env       []string
}

func describe(t *testing.T, r *Runtime) (d description) {
	t.Helper()
	if err := json.Unmarshal(invoke(t, r, event("describe", "", 0)), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// eventually polls a condition in another process.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestConcurrentInvocationsGetTheirOwnAnswers(t *testing.T) {
	r := start(t, Function{Environments: 3}, Options{})
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			payload := event("echo", strings.Repeat("x", i*100), i)
			answer, err := r.Invoke(t.Context(), "echo", payload)
			if err != nil || !bytes.Equal(answer, payload) {
				t.Errorf("invocation %d answered %d bytes, %v", i, len(answer), err)
			}
		})
	}
	wg.Wait()
	if got, want := r.Stats("echo"), (Stats{Invocations: 60}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

func TestInvocationContextAndEnvironment(t *testing.T) {
	t.Setenv("RUNTIME_TEST_SECRET", "of the parent")
	r := start(t, Function{Timeout: time.Minute, MemoryMB: 512, Env: []string{"OWN=value"}}, Options{})
	d := describe(t, r)
	if d.ARN != "arn:aws:lambda:us-east-1:000000000000:function:echo" {
		t.Errorf("ARN is %s", d.ARN)
	}
	if d.Left <= 0 || d.Left > time.Minute.Milliseconds() {
		t.Errorf("%d ms are left of the deadline, want at most a minute", d.Left)
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(d.RequestID) {
		t.Errorf("request id is %q, want a UUID", d.RequestID)
	}
	if !regexp.MustCompile(`^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$`).MatchString(d.Trace) {
		t.Errorf("trace id is %q", d.Trace)
	}
	for _, want := range []string{"OWN=value", "AWS_LAMBDA_FUNCTION_NAME=echo", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=512", "TZ=:UTC"} {
		if !slices.Contains(d.Env, want) {
			t.Errorf("environment lacks %s", want)
		}
	}
	if slices.ContainsFunc(d.Env, func(v string) bool { return strings.HasPrefix(v, "RUNTIME_TEST_SECRET") }) {
		t.Error("the parent's environment is inherited")
	}
}

func TestReportedErrorKeepsTheProcess(t *testing.T) {
	r := start(t, Function{}, Options{})
	before := describe(t, r).Pid
	failure := fails(t, r, event("error", "no such business", 0))
	if failure.Function != "echo" || failure.Type != "errorString" || failure.Message != "no such business" || failure.RequestID == "" {
		t.Errorf("got %+v", failure)
	}
	if after := describe(t, r).Pid; after != before {
		t.Errorf("process %d was replaced by %d", before, after)
	}
}

func TestProcessThatEndsIsReplaced(t *testing.T) {
	for _, c := range []struct {
		name          string
		payload       []byte
		kind, message string
	}{
		{"panic", event("panic", "lost", 0), "string", "lost"},
		{"exit with a status", event("exit", "", 7), TypeExit, "Error: Runtime exited with error: exit status 7"},
		{"exit without one", event("exit", "", 0), TypeExit, "Error: Runtime exited without providing a reason"},
		{"takes too long", event("sleep", "", 0), TypeTimeout, "Error: Task timed out after 1.00 seconds"},
		{"answers too much", event("big", "", MaxResponse+1), TypeResponseTooLarge, "maximum allowed payload size (6291556 bytes)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, Function{Timeout: time.Second}, Options{})
			before := describe(t, r).Pid
			failure := fails(t, r, c.payload)
			if failure.Type != c.kind || !strings.Contains(failure.Message, c.message) {
				t.Errorf("failed with %v, want %s: %s", failure, c.kind, c.message)
			}
			if after := describe(t, r).Pid; after == before {
				t.Errorf("process %d still serves", before)
			}
			if got, want := r.Stats("echo"), (Stats{Invocations: 3, Errors: 1, Restarts: 1}); got != want {
				t.Errorf("counted %+v, want %+v", got, want)
			}
		})
	}
}

func TestPayloadsUpToTheLimitPass(t *testing.T) {
	r := start(t, Function{}, Options{})
	if n := len(invoke(t, r, event("big", "", MaxResponse))); n != MaxResponse {
		t.Errorf("answer has %d bytes, want %d", n, MaxResponse)
	}
	largest := append(event("none", "", 0), bytes.Repeat([]byte(" "), MaxPayload)...)[:MaxPayload]
	if answer := invoke(t, r, largest); string(answer) != "null" {
		t.Errorf("largest event answered %q", answer)
	}
	if failure := fails(t, r, append(largest, ' ')); failure.Type != TypeRequestTooLarge {
		t.Errorf("event over the limit failed with %v", failure)
	}
}

func TestInTurn(t *testing.T) {
	r := start(t, Function{Environments: 2}, Options{InTurn: true})
	var pids []int
	for range 6 {
		pids = append(pids, describe(t, r).Pid)
	}
	a, b := pids[0], pids[1]
	if a == b || !slices.Equal(pids, []int{a, b, a, b, a, b}) {
		t.Errorf("served by %v, want two processes in turn", pids)
	}
}

// TestInTurnByKey: with two keys that alternate, a single turn for all keys
// would always choose the same environment for each key.
func TestInTurnByKey(t *testing.T) {
	r := start(t, Function{Environments: 2}, Options{InTurn: true})
	pids := map[string][]int{}
	call := func(keys ...string) {
		var d description
		answer, err := r.Invoke(WithKeys(t.Context(), keys...), "echo", event("describe", "", 0))
		if err = errors.Join(err, json.Unmarshal(answer, &d)); err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			pids[k] = append(pids[k], d.Pid)
		}
	}
	for range 3 {
		call("topic-0")
		call("topic-1")
	}
	call("topic-0", "topic-1")
	call("topic-1")
	for key, got := range pids {
		for i := 1; i < len(got); i++ {
			if got[i] == got[i-1] {
				t.Errorf("%s was served by %v, want another each time", key, got)
			}
		}
	}
}

func TestInTurnWaitsForTheBusyOne(t *testing.T) {
	r := start(t, Function{Environments: 2, Timeout: time.Second}, Options{InTurn: true})
	first := describe(t, r).Pid
	second := describe(t, r).Pid
	slow := make(chan error)
	go func() { // keeps the first until it times out
		_, err := r.Invoke(t.Context(), "echo", event("sleep", "", 0))
		slow <- err
	}()
	eventually(t, "the slow invocation is under way", func() bool { return r.Stats("echo").Invocations == 3 })
	if pid := describe(t, r).Pid; pid != second {
		t.Errorf("served by %d, want %d, which has the turn", pid, second)
	}
	if pid := describe(t, r).Pid; pid == second || pid == first {
		t.Errorf("served by %d, want the one that replaced %d", pid, first)
	}
	if err := <-slow; err == nil {
		t.Error("the slow invocation did not time out")
	}
}

// TestKillsUnderLoad: every invocation ends with its own answer or with the
// death of its process, and none hangs.
func TestKillsUnderLoad(t *testing.T) {
	r := start(t, Function{Environments: 3}, Options{})
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			for j := range 100 {
				payload := event("echo", fmt.Sprint(i, j), 0)
				answer, err := r.Invoke(t.Context(), "echo", payload)
				var failure *FunctionError
				switch {
				case err == nil && !bytes.Equal(answer, payload):
					t.Errorf("%s answered %s", payload, answer)
				case err != nil && (!errors.As(err, &failure) || failure.Type != TypeExit):
					t.Errorf("failed with %v", err)
				}
			}
		})
	}
	for range 30 {
		if _, err := r.Kill("echo"); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	if got := r.Stats("echo"); got.Invocations != 600 {
		t.Errorf("%d invocations were started, want 600", got.Invocations)
	}
}

func TestKillPrefersAnInvocationUnderWay(t *testing.T) {
	r := start(t, Function{Environments: 2}, Options{})
	idle := []int{describe(t, r).Pid}
	failed := make(chan error)
	go func() {
		_, err := r.Invoke(t.Context(), "echo", event("sleep", "", 0))
		failed <- err
	}()
	eventually(t, "the second invocation is under way", func() bool { return r.Stats("echo").Invocations == 2 })
	idle = append(idle, describe(t, r).Pid) // the other one now
	pid, err := r.Kill("echo")
	if err != nil {
		t.Fatal(err)
	}
	if pid == idle[1] {
		t.Errorf("killed %d, which was idle", pid)
	}
	var failure *FunctionError
	if err := <-failed; !errors.As(err, &failure) || !strings.Contains(failure.Message, "Runtime exited with error: signal: killed") {
		t.Errorf("the invocation failed with %v", err)
	}
	eventually(t, "the process is restarted", func() bool { return r.Stats("echo").Restarts == 1 })
	if _, err := r.Kill("other"); err == nil {
		t.Error("killed a function that is not served")
	}
}

func TestCancelledInvokeReturnsAtOnce(t *testing.T) {
	r := start(t, Function{}, Options{})
	under, cancelUnder := context.WithCancel(t.Context())
	queued, cancelQueued := context.WithCancel(t.Context())
	results := make(chan error)
	call := func(ctx context.Context) {
		_, err := r.Invoke(ctx, "echo", event("sleep", "", 0))
		results <- err
	}
	go call(under)
	eventually(t, "the first invocation is under way", func() bool { return r.Stats("echo").Invocations == 1 })
	go call(queued)
	for _, cancel := range []func(){cancelQueued, cancelUnder} {
		cancel()
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("returned %v", err)
		}
	}
	if n := r.Stats("echo").Invocations; n != 1 {
		t.Errorf("%d invocations were started, want the first only", n)
	}
}

func TestFunctionThatCannotStart(t *testing.T) {
	var out safeBuffer
	r := start(t, Function{Env: []string{"ECHO_FAILS_AT_START=1"}}, Options{Output: &out})
	for range 3 { // each learns of it, none waits for ever
		failure := fails(t, r, event("echo", "", 0))
		if failure.Type != TypeExit || !strings.HasSuffix(failure.Message, "Runtime exited with error: exit status 3") {
			t.Errorf("failed with %v", failure)
		}
	}
	if !strings.Contains(out.String(), "echo cannot start\n") {
		t.Errorf("printed %q, want the function's error message", out.String())
	}
}

func TestMissingExecutables(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := Start(t.Context(), Options{Functions: []Function{
		{Name: "good", Path: echo}, {Name: "absent", Path: filepath.Join(dir, "absent")}, {Name: "plain", Path: plain},
	}})
	if err == nil {
		r.Close()
		t.Fatal("started without an executable")
	}
	for _, want := range []string{"function absent: ", "function plain: ", "not executable"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not contain %q", err, want)
		}
	}
}

func TestOutputIsForwardedByLine(t *testing.T) {
	var out safeBuffer
	r := start(t, Function{}, Options{Output: &out})
	invoke(t, r, event("print", "{\"a\":1}\n\n{\"b\"", 0))
	invoke(t, r, event("print", ":2}\nend", 0))
	_ = fails(t, r, event("exit", "", 1)) // prints what is left
	describe(t, r)
	if got, want := out.String(), "echo {\"a\":1}\necho \necho {\"b\":2}\necho end\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

func TestCloseEndsProcessesAndInvocations(t *testing.T) {
	r := start(t, Function{Environments: 2}, Options{})
	pid := describe(t, r).Pid
	failed := make(chan error)
	for range 3 { // two under way, one queued
		go func() {
			_, err := r.Invoke(t.Context(), "echo", event("sleep", "", 0))
			failed <- err
		}()
	}
	eventually(t, "both environments are busy", func() bool { return r.Stats("echo").Invocations == 3 })
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := <-failed; !errors.Is(err, ErrClosed) {
			t.Errorf("invocation failed with %v, want ErrClosed", err)
		}
	}
	if alive(pid) {
		t.Errorf("process %d still runs", pid)
	}
	if _, err := r.Invoke(t.Context(), "echo", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Invoke after Close returned %v, want ErrClosed", err)
	}
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestRelativePath: a function runs in its own directory, from which a path
// relative to this directory would lead elsewhere.
func TestRelativePath(t *testing.T) {
	t.Chdir(filepath.Dir(filepath.Dir(echo)))
	relative := filepath.Join(filepath.Base(filepath.Dir(echo)), filepath.Base(echo))
	describe(t, start(t, Function{Path: relative}, Options{}))
}

func TestStartFailsIfTheFileIsNotAProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(path, []byte("neither a program nor a script"), 0o755); err != nil {
		t.Fatal(err)
	}
	r, err := Start(t.Context(), Options{Functions: []Function{{Name: "good", Path: echo}, {Name: "bad", Path: path}}})
	if err == nil {
		r.Close()
		t.Fatal("started")
	}
	if !strings.Contains(err.Error(), "function bad: ") {
		t.Errorf("error %q does not name the function", err)
	}
}

// TestRepeatedKillsRestartAtOnce: an environment that is killed before it had
// an invocation starts its next process at once.
func TestRepeatedKillsRestartAtOnce(t *testing.T) {
	r := start(t, Function{Environments: 2}, Options{})
	for i := range 20 {
		if _, err := r.Kill("echo"); err != nil {
			t.Fatalf("kill %d: %v", i, err)
		}
	}
	describe(t, r)
	eventually(t, "20 restarts", func() bool { return r.Stats("echo").Restarts == 20 })
}
