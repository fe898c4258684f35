package runtime

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// modeVariable selects another role of the test binary: a runtime to be killed,
// or a function that sends its own requests to the Runtime API, in ways that no
// well-behaved client would.
const modeVariable = "RUNTIME_TEST_MODE"

var modes = map[string]func(){
	"parent":    runParent,
	"initError": runInitError,
	"hang":      func() { time.Sleep(time.Hour) },
	"noAnswer":  runNoAnswer,
	"wrongID":   runWrongID,
	"trailer":   runTrailer,
	"deaf":      runDeaf,
}

// runParent serves the function at the path in ECHO and prints its process id.
func runParent() {
	r, err := Start(context.Background(), Options{Functions: []Function{{Name: "echo", Path: os.Getenv("ECHO")}}})
	if err != nil {
		panic(err)
	}
	answer, err := r.Invoke(context.Background(), "echo", event("describe", "", 0))
	fmt.Println(string(answer), err)
	select {}
}

func apiURL(path string) string {
	return "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/" + path
}

// getNext returns the id of the next invocation.
func getNext() string {
	resp, err := http.Get(apiURL("invocation/next"))
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Header.Get("Lambda-Runtime-Aws-Request-Id")
}

func post(path, body string) int {
	resp, err := http.Post(apiURL(path), "application/json", strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func runInitError() {
	post("init/error", `{"errorType":"Config.Missing","errorMessage":"no brokers"}`)
	os.Exit(1)
}

func runNoAnswer() {
	getNext()
	post("invocation/"+getNext()+"/response", `"second"`)
	select {}
}

// runWrongID first answers another invocation than its own, and then answers
// its own with the status of the first answer.
func runWrongID() {
	id := getNext()
	status := post("invocation/none/response", `"foreign"`)
	post("invocation/"+id+"/response", fmt.Sprint(status))
	select {}
}

// runTrailer breaks an answer off, as a client does if the source of its data
// fails.
func runTrailer() {
	req, err := http.NewRequest(http.MethodPost, apiURL("invocation/"+getNext()+"/response"), io.MultiReader(strings.NewReader("half")))
	if err != nil {
		panic(err)
	}
	req.Trailer = http.Header{
		"Lambda-Runtime-Function-Error-Type": {"Stream.Broken"},
		"Lambda-Runtime-Function-Error-Body": {base64.StdEncoding.EncodeToString([]byte(`{"errorMessage":"the rest is lost"}`))},
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		panic(err)
	}
	resp.Body.Close()
	select {}
}

// runDeaf asks for an event and does not read it.
func runDeaf() {
	resp, err := http.Get(apiURL("invocation/next"))
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	select {}
}

// raw runs the test binary as a function in a mode.
func raw(t *testing.T, mode string) *Runtime {
	t.Helper()
	return start(t, Function{Path: os.Args[0], Env: []string{modeVariable + "=" + mode}, InitTimeout: 5 * time.Second}, Options{})
}

func TestInitErrorReachesTheInvocation(t *testing.T) {
	failure := fails(t, raw(t, "initError"), nil)
	if failure.Type != "Config.Missing" || failure.Message != "no brokers" {
		t.Errorf("failed with %v", failure)
	}
}

func TestInitialisationTimesOut(t *testing.T) {
	r := start(t, Function{
		Path: os.Args[0], Env: []string{modeVariable + "=hang"}, InitTimeout: 50 * time.Millisecond,
	}, Options{})
	if failure := fails(t, r, nil); failure.Type != TypeTimeout {
		t.Errorf("failed with %v", failure)
	}
}

func TestNextRequestWithoutAnswerFailsTheInvocation(t *testing.T) {
	r := raw(t, "noAnswer")
	if failure := fails(t, r, nil); failure.Type != TypeNoAnswer {
		t.Errorf("failed with %v", failure)
	}
	if answer := invoke(t, r, nil); string(answer) != `"second"` {
		t.Errorf("second invocation answered %s", answer)
	}
}

// TestCallerMayReusePayloadAfterInvoke: the function reads so little of the
// payload that the rest is still being written when the invocation times out or
// when the caller gives up. The race detector reports any later read of the
// payload.
func TestCallerMayReusePayloadAfterInvoke(t *testing.T) {
	for _, c := range []struct {
		name   string
		cancel bool
	}{{"timed out", false}, {"given up", true}} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, Function{
				Path: os.Args[0], Env: []string{modeVariable + "=deaf"}, Timeout: 300 * time.Millisecond,
			}, Options{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			payload := make([]byte, MaxPayload)
			failed := make(chan error)
			go func() {
				_, err := r.Invoke(ctx, "echo", payload)
				clear(payload)
				failed <- err
			}()
			eventually(t, "the invocation is under way", func() bool { return r.Stats("echo").Invocations == 1 })
			if c.cancel {
				cancel()
			}
			if err := <-failed; err == nil {
				t.Error("invocation succeeded")
			}
		})
	}
}

func TestAnswerToAnotherInvocationIsRejected(t *testing.T) {
	r := raw(t, "wrongID")
	if answer := invoke(t, r, nil); string(answer) != fmt.Sprint(http.StatusBadRequest) {
		t.Errorf("answered %s, want the status of the answer to another invocation, 400", answer)
	}
	resp, err := http.Get("http://" + r.listenAddr + "/nobody/2018-06-01/runtime/invocation/next")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("an unknown process got status %d", resp.StatusCode)
	}
}

func TestAnswerThatBreaksOffFails(t *testing.T) {
	failure := fails(t, raw(t, "trailer"), nil)
	if failure.Type != "Stream.Broken" || failure.Message != "the rest is lost" {
		t.Errorf("failed with %v", failure)
	}
}

// TestChildrenDieWithTheParent kills a process that serves functions.
func TestChildrenDieWithTheParent(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), modeVariable+"=parent", "ECHO="+echo)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(line, `"pid":`)
	var pid int
	if _, err := fmt.Sscan(strings.TrimRight(strings.SplitN(after, ",", 2)[0], "}"), &pid); err != nil {
		t.Fatalf("no pid in %q: %v", line, err)
	}
	if !alive(pid) {
		t.Fatalf("function process %d does not run before the kill", pid)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // "signal: killed"
	eventually(t, "the function process is gone", func() bool { return !alive(pid) })
}

// alive reports whether a process runs. A process that is dead but that its
// parent has not waited for does not run.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

func TestLinesAreCutAndBounded(t *testing.T) {
	var out bytes.Buffer
	l := &lines{prefix: "f ", out: &output{w: &out}}
	for _, part := range []string{"a", "b\nc\n", "", "\n", strings.Repeat("x", maxLine), "rest"} {
		if n, err := l.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("wrote %d of %d, %v", n, len(part), err)
		}
	}
	l.flush()
	l.flush()
	want := "f ab\nf c\nf \nf " + strings.Repeat("x", maxLine) + "\nf rest\n"
	if out.String() != want {
		t.Errorf("printed %d bytes, want %d", out.Len(), len(want))
	}
}

func BenchmarkInvoke(b *testing.B) {
	r, err := Start(b.Context(), Options{Functions: []Function{{Name: "echo", Path: echo, Environments: 2}}})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	b.SetParallelism(1)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Invoke(b.Context(), "echo", []byte(`{"eventSource":""}`)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
