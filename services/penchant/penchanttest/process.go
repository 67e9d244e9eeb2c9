package penchanttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/eventually"
)

// Credential may call the API of the processes of this package, and is the embedded S3's.
var Credential = awsapi.Credential{AccessKeyID: "penchant", SecretKey: "penchant-secret"}

// Region is that of the ARNs of the processes of this package.
const Region = "us-east-1"

// drainLimit bounds the time a process takes to end when it is asked to, with some seconds for a busy machine.
const drainLimit = 35 * time.Second

// Process is a penchant process of the test's. It is killed when the test ends.
type Process struct {
	t           testing.TB
	target      string
	DataDir     string
	httpAddr    string // the same after a restart
	environment []string

	output    *lockedBuffer
	command   *exec.Cmd
	exited    chan error
	Endpoints map[string]string // http, s3, kafka and, where it is embedded, redis; known once the process listens
}

// FreePort is a port that nothing listens on, below those that the system gives to outgoing connections: a server that
// is started again finds it free. No test gets it again while this process lives, nor does one of another process, or a
// server of scripts/servers.
func FreePort(t testing.TB) int {
	t.Helper()
	claims := filepath.Join(os.TempDir(), "penchant-test-ports")
	if err := os.MkdirAll(claims, 0o777); err != nil {
		t.Fatal(err)
	}
	for {
		port := 15_000 + rand.IntN(15_000)
		claim, err := os.OpenFile(filepath.Join(claims, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o666)
		if err != nil {
			t.Fatal(err)
		}
		if syscall.Flock(int(claim.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
			claim.Close()
			continue
		}
		// A script does not live as long as the server that it starts: it writes down until when the port is that
		// one's.
		until, err := io.ReadAll(claim)
		if err != nil {
			t.Fatal(err)
		}
		if seconds, err := strconv.ParseFloat(string(until), 64); err == nil && seconds > float64(time.Now().Unix()) {
			claim.Close()
			continue
		}
		listener, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
		if err != nil {
			claim.Close()
			continue
		}
		listener.Close()
		portClaims.Store(port, claim) // open, and so locked, until the process ends
		return port
	}
}

// portClaims keeps the locked files of the ports that FreePort gave.
var portClaims sync.Map

// Start runs `penchant <target>` in dataDir on free ports, with settings as environment variables (PENCHANT_X=…), and
// waits until it is ready.
func Start(t testing.TB, target, dataDir string, settings ...string) *Process {
	t.Helper()
	p := Launch(t, target, dataDir, settings...)
	p.AwaitReady(time.Minute)
	return p
}

// Launch is Start for a process that need not become ready.
func Launch(t testing.TB, target, dataDir string, settings ...string) *Process {
	t.Helper()
	p := &Process{
		t: t, target: target, DataDir: dataDir, httpAddr: fmt.Sprint("127.0.0.1:", FreePort(t)), environment: settings,
		output: &lockedBuffer{},
	}
	p.launch()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("output of penchant %s:\n%s", target, p.Output())
		}
	})
	return p
}

func (p *Process) launch() {
	p.t.Helper()
	const anyPort = "127.0.0.1:0"
	if err := os.Remove(filepath.Join(p.DataDir, "endpoints.json")); err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
	p.Endpoints = nil
	p.command = exec.Command(Binary(p.t), p.target, "--data-dir", p.DataDir, "--http-addr", p.httpAddr,
		"--kafka-addr", anyPort, "--redis-addr", anyPort, "--s3-addr", anyPort, "--log-format", "console")
	p.command.Env = append(withoutSettings(os.Environ()), p.environment...)
	p.command.Stdout, p.command.Stderr = p.output, p.output
	if err := p.command.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.exited = make(chan error, 1)
	command, exited := p.command, p.exited
	go func() { exited <- command.Wait() }()
}

func withoutSettings(environment []string) []string {
	var kept []string
	for _, pair := range environment {
		if !strings.HasPrefix(pair, "PENCHANT_") {
			kept = append(kept, pair)
		}
	}
	return kept
}

// Restart starts a process that has ended again, in the same folder, with the same settings and at the same
// address. It does not wait until it is ready.
func (p *Process) Restart() {
	p.t.Helper()
	<-p.exited
	p.launch()
}

// AwaitReady waits until the process is ready, and fails the test if it ends instead.
func (p *Process) AwaitReady(limit time.Duration) {
	p.t.Helper()
	eventually.SucceedsWithin(p.t, limit, "penchant "+p.target+" is ready", func() error {
		if err, ended := p.Exited(); ended {
			p.t.Fatalf("penchant %s ended: %v\n%s", p.target, err, p.Output())
		}
		return p.Ready()
	})
}

// Ready returns why the process is not ready; nil: it is.
func (p *Process) Ready() error {
	if err := p.readEndpoints(); err != nil {
		return err
	}
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Get(p.Endpoints["http"] + "/healthz/ready")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		var page struct{ Reasons map[string]string }
		_ = json.NewDecoder(res.Body).Decode(&page) // a page that can't be read has no reasons
		return fmt.Errorf("not ready: %v", page.Reasons)
	}
	return nil
}

func (p *Process) readEndpoints() error {
	if p.Endpoints != nil {
		return nil
	}
	content, err := os.ReadFile(filepath.Join(p.DataDir, "endpoints.json"))
	if err != nil {
		return err
	}
	var endpoints map[string]string
	if err := json.Unmarshal(content, &endpoints); err != nil {
		return err
	}
	p.Endpoints = endpoints
	return nil
}

// Exited reports whether the process has ended, and with which error.
func (p *Process) Exited() (err error, ended bool) {
	select {
	case err := <-p.exited:
		p.exited <- err
		return err, true
	default:
		return nil, false
	}
}

// Output returns what the process has written so far, over all its starts.
func (p *Process) Output() string { return p.output.String() }

// PID is the process's number.
func (p *Process) PID() int { return p.command.Process.Pid }

// Kill ends the process the way a crash does and waits until it is gone.
func (p *Process) Kill() {
	_ = p.command.Process.Signal(syscall.SIGKILL) // it may have ended by itself
	err := <-p.exited
	p.exited <- err
}

// Freeze stops the process (SIGSTOP) until Thaw: to all others it looks like one that hangs.
func (p *Process) Freeze() { p.signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (p *Process) Thaw() { p.signal(syscall.SIGCONT) }

func (p *Process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.command.Process.Signal(s); err != nil {
		p.t.Fatalf("sending %s to penchant %s: %v", s, p.target, err)
	}
}

// Terminate asks the process to drain and end, and fails the test unless it does so in time and without an error.
func (p *Process) Terminate() {
	p.t.Helper()
	p.AskToEnd()
	p.AwaitExit()
}

// AskToEnd asks the process to drain and end (SIGTERM), and returns at once.
func (p *Process) AskToEnd() { p.t.Helper(); p.signal(syscall.SIGTERM) }

// AwaitExit waits for the end of a process that was asked to end, as Terminate does.
func (p *Process) AwaitExit() {
	p.t.Helper()
	select {
	case err := <-p.exited:
		p.exited <- err
		if err != nil {
			p.t.Errorf("penchant %s on SIGTERM: %v\n%s", p.target, err, p.Output())
		}
	case <-time.After(drainLimit):
		p.t.Errorf("penchant %s is still running %s after SIGTERM\n%s", p.target, drainLimit, p.Output())
	}
}

// API is a client of the process.
func (p *Process) API() *awsapi.Client {
	client := awsapi.NewClient(p.Endpoints["http"], Credential, Region)
	p.t.Cleanup(client.Close)
	return client
}

// Bucket is a bucket in the process's S3, with its own key pair where it is the embedded one. It is created where
// missing.
func (p *Process) Bucket(name string) *blob.Bucket {
	p.t.Helper()
	return openBucket(p.t, blob.Config{
		Endpoint: p.Endpoints["s3"], AccessKey: Credential.AccessKeyID, SecretKey: Credential.SecretKey, Region: Region,
	}, name)
}

func openBucket(t testing.TB, cfg blob.Config, name string) *blob.Bucket {
	t.Helper()
	store, err := blob.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	if err := store.EnsureBucket(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	return store.Bucket(name)
}

// PeakMemory is the most memory the process ever held, in bytes; 0 where the system does not report it.
func (p *Process) PeakMemory() float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			return kib * 1024
		}
	}
	return 0
}

// lockedBuffer takes a process's output while a test reads it.
type lockedBuffer struct {
	mu      sync.Mutex
	content bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.String()
}
