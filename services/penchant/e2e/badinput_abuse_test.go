package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// TestHTTPAbuse has many clients do to the HTTP server what one in TestBadInput cannot: hold connections, send slowly or
// without end, read nothing. Meanwhile calls are answered promptly; the memory stays bounded; and when the clients have
// gone, goroutines and file descriptors are what they were.
func TestHTTPAbuse(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	process := penchanttest.Start(t, "all", t.TempDir())
	_, trackingID := penchanttest.TrackedGroup(t, process.API(), process.Bucket("penchant"), "abused")
	a := &abused{t: t, Process: process, trackingID: trackingID}
	a.checkPrompt("before any abuse", 20)
	before := a.gauges()

	clients, body := 250, int64(64<<20)
	if long() {
		clients, body = 5000, 1<<30
	}
	for _, abuse := range []struct {
		name string
		do   func(t *testing.T)
	}{
		{"idle connections", func(t *testing.T) { a.idle(t, clients) }},
		{"slow headers", func(t *testing.T) { a.slowHeaders(t, clients) }},
		{"slow bodies", func(t *testing.T) { a.slowBodies(t, min(clients, 1000)) }},
		{"large bodies", func(t *testing.T) { a.largeBodies(t, body) }},
		{"header bombs", func(t *testing.T) { a.headerBombs(t, min(clients, 500)) }},
		{"lists of empty members", func(t *testing.T) { a.wideJSON(t, 64) }},
		{"clients that do not read", func(t *testing.T) { a.deaf(t, 10) }},
		{"connections reset in the middle", func(t *testing.T) { a.resets(t, clients) }},
	} {
		started := time.Now()
		t.Run(abuse.name, abuse.do)
		t.Logf("%s: %s, peak memory so far %.0f MiB", abuse.name, time.Since(started).Round(time.Millisecond), process.PeakMemory()/(1<<20))
	}

	eventually.SucceedsWithin(t, 3*time.Minute, "goroutines and file descriptors are what they were", func() error {
		// The clients' connections that are kept for the next call are theirs, not the abuse's.
		rawClient.CloseIdleConnections()
		now := a.gauges()
		for name, was := range before {
			if now[name] > was+20 {
				return fmt.Errorf("%s was %v and is %v", name, was, now[name])
			}
		}
		return nil
	})
	a.checkPrompt("after all abuse", 20)
	checkHealthy(t, process)
	t.Logf("before: %v, after: %v, peak memory %.0f MiB, slowest answer meanwhile %s", before, a.gauges(), process.PeakMemory()/(1<<20), a.slowest)
	if peak := process.PeakMemory(); peak > maxAbusedMemory {
		t.Errorf("the process took %.0f MiB", peak/(1<<20))
	}
	process.Terminate()
}

// maxAbusedMemory bounds what abuse and bad files can make the process take; idle it has about 100 MiB.
const maxAbusedMemory = 800 << 20

// abused is a process that is abused, and what its honest clients see.
type abused struct {
	*penchanttest.Process
	t          *testing.T
	trackingID string
	slowest    time.Duration
}

// gauges are what a leak would show in.
func (a *abused) gauges() map[string]float64 {
	resp, err := rawClient.Get(a.Endpoints["http"] + "/metrics")
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	found := map[string]float64{}
	for scanner := bufio.NewScanner(resp.Body); scanner.Scan(); {
		name, value, _ := strings.Cut(scanner.Text(), " ")
		if name == "go_goroutines" || name == "process_open_fds" {
			found[name], _ = strconv.ParseFloat(value, 64)
		}
	}
	return found
}

// checkPrompt makes honest calls, each on a new connection, and wants each answered within two seconds: the abusive
// clients, which run in this process, take most of the processors.
func (a *abused) checkPrompt(when string, calls int) {
	a.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	body := `{"trackingId":"` + a.trackingID + `","sessionId":"s","eventList":[{"eventType":"view","itemId":"a","sentAt":1}]}`
	var took []time.Duration
	for range calls {
		req, err := http.NewRequestWithContext(a.t.Context(), http.MethodPost, a.Endpoints["http"]+"/events", strings.NewReader(body))
		if err != nil {
			a.t.Fatal(err)
		}
		sign(req, body)
		started := time.Now()
		resp, err := client.Do(req)
		if err != nil {
			a.t.Errorf("%s: %v", when, err)
			return
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			a.t.Errorf("%s: status %d", when, resp.StatusCode)
		}
		took = append(took, time.Since(started))
	}
	slices.Sort(took)
	a.slowest = max(a.slowest, took[len(took)-1])
	if median := took[len(took)/2]; median > 2*time.Second {
		a.t.Errorf("%s: half of the calls took more than %s", when, median)
	}
}

func (a *abused) addr() string { return strings.TrimPrefix(a.Endpoints["http"], "http://") }

// connect opens connections and runs a client on each; all are closed at the end.
func (a *abused) connect(t *testing.T, clients int, client func(n int, conn *net.TCPConn)) (wait, hangUp func()) {
	t.Helper()
	conns := make([]*net.TCPConn, clients)
	dialling := make(chan struct{}, 64)
	var running sync.WaitGroup
	var opened sync.WaitGroup
	for n := range clients {
		opened.Add(1)
		running.Go(func() {
			dialling <- struct{}{}
			conn, err := net.DialTimeout("tcp", a.addr(), patience)
			<-dialling
			if err != nil {
				t.Errorf("connecting: %v", err)
				opened.Done()
				return
			}
			conns[n] = conn.(*net.TCPConn)
			opened.Done()
			client(n, conns[n])
		})
	}
	opened.Wait()
	hangUp = func() {
		for _, conn := range conns {
			if conn != nil {
				conn.Close()
			}
		}
	}
	return running.Wait, hangUp
}

// signedPost is the bytes of a signed call.
func (a *abused) signedPost(path, header, body string) string {
	req, err := http.NewRequest(http.MethodPost, a.Endpoints["http"]+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	sign(req, body)
	return strings.Replace(message(req, body), "Host: ", header+"Host: ", 1)
}

// idle keeps connections open on which one call was made.
func (a *abused) idle(t *testing.T, clients int) {
	call := a.signedPost("/recommendations", "", "{}")
	var answered atomic.Int64
	wait, hangUp := a.connect(t, clients, func(_ int, conn *net.TCPConn) {
		if _, err := io.WriteString(conn, call); err != nil {
			t.Errorf("calling: %v", err)
			return
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("reading an answer: %v", err)
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		answered.Add(1)
	})
	defer hangUp()
	wait()
	if fds := a.gauges()["process_open_fds"]; int(answered.Load()) != clients || fds < float64(clients) {
		t.Errorf("%d of %d connections were answered, %v file descriptors are open", answered.Load(), clients, fds)
	}
	a.checkPrompt("beside idle connections", 50)
}

// slowHeaders sends a header a byte at a time. The server ends that after ten seconds.
func (a *abused) slowHeaders(t *testing.T, clients int) {
	wait, hangUp := a.connect(t, clients, func(n int, conn *net.TCPConn) {
		started := time.Now()
		_, _ = io.WriteString(conn, "POST /events HTTP/1.1\r\nHost: x\r\nX-Slow: ")
		if !long() {
			return
		}
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			_, _ = io.Copy(io.Discard, conn)
		}()
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-closed:
				if took := time.Since(started); took > 20*time.Second {
					t.Errorf("a slow header was read for %s", took)
				}
				return
			case <-tick.C:
				_, _ = conn.Write([]byte("x"))
			}
		}
	})
	defer hangUp()
	a.checkPrompt("beside slow headers", 50)
	wait()
}

// slowBodies sends all but the end of a body: of those who cannot have signed it nothing is kept, and of those who have
// the server keeps so much in all and refuses the rest.
func (a *abused) slowBodies(t *testing.T, clients int) {
	const size = 4 << 20
	unsigned := fmt.Sprintf("POST /items HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
	signed := strings.Replace(a.signedPost("/items", "", ""), "Content-Length: 0", fmt.Sprintf("Content-Length: %d", size), 1)
	block := bytes.Repeat([]byte(" "), 64<<10)
	statuses := map[string]int{}
	var counting sync.Mutex
	wait, hangUp := a.connect(t, clients, func(n int, conn *net.TCPConn) {
		kind, header := "signed", signed
		if n%2 == 0 {
			kind, header = "unsigned", unsigned
		}
		_, _ = io.WriteString(conn, header)
		for range size/len(block) - 1 {
			if _, err := conn.Write(block); err != nil {
				break // refused meanwhile
			}
		}
		_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		counting.Lock()
		defer counting.Unlock()
		switch {
		case err == nil:
			statuses[kind+" "+strconv.Itoa(resp.StatusCode)]++
		case os.IsTimeout(err):
			statuses[kind+" held"]++
		default:
			statuses[kind+" cut"]++ // the answer was lost in the reset: the server did not wait for the rest
		}
	})
	defer hangUp()
	a.checkPrompt("beside slow bodies", 50)
	wait()
	t.Logf("slow bodies of %d bytes: %v", size, statuses)
	if statuses["unsigned held"] > 0 || statuses["signed held"] > 16 || statuses["signed held"] == 0 {
		t.Errorf("slow bodies of %d bytes: %v", size, statuses)
	}
}

// largeBodies sends bodies that are far too long, with their length and in chunks.
func (a *abused) largeBodies(t *testing.T, size int64) {
	length := strings.Replace(a.signedPost("/items", "", ""), "Content-Length: 0", "Content-Length: "+strconv.FormatInt(size, 10), 1)
	chunked := strings.Replace(a.signedPost("/items", "", ""), "Content-Length: 0", "Transfer-Encoding: chunked", 1)
	block := bytes.Repeat([]byte("x"), 1<<20)
	for name, header := range map[string]string{"length": length, "chunks": chunked, "length, unsigned": strings.Replace(length, "Authorization", "X-Authorization", 1)} {
		wait, hangUp := a.connect(t, 8, func(_ int, conn *net.TCPConn) {
			_ = conn.SetDeadline(time.Now().Add(patience))
			answered := make(chan int, 1)
			go func() {
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					answered <- 0
					return
				}
				answered <- resp.StatusCode
			}()
			_, _ = io.WriteString(conn, header)
			sent := int64(0)
			for ; sent < size; sent += int64(len(block)) {
				if name == "chunks" {
					_, _ = io.WriteString(conn, "100000\r\n")
				}
				if _, err := conn.Write(block); err != nil {
					break
				}
				if name == "chunks" {
					_, _ = io.WriteString(conn, "\r\n")
				}
			}
			if sent > 64<<20 && sent >= size {
				t.Errorf("%s: the server took %d bytes", name, sent)
			}
			// The answer may be lost where the connection was reset under it.
			if status := <-answered; status != 0 && status != http.StatusRequestEntityTooLarge && status != http.StatusForbidden {
				t.Errorf("%s: status %d", name, status)
			}
		})
		a.checkPrompt("beside large bodies", 10)
		wait()
		hangUp()
	}
}

// headerBombs sends headers of a megabyte, and ten thousand headers.
func (a *abused) headerBombs(t *testing.T, clients int) {
	bombs := []string{
		"POST /events HTTP/1.1\r\nHost: x\r\nX-Bomb: " + strings.Repeat("x", 1<<20),
		"POST /events HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-Bomb: x\r\n", 100_000),
		"POST /events HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("a:\r\n", 8_000), // just within the limit
	}
	wait, hangUp := a.connect(t, clients, func(n int, conn *net.TCPConn) {
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, bombs[n%len(bombs)])
	})
	defer hangUp()
	a.checkPrompt("beside header bombs", 20)
	wait()
}

// wideJSON sends signed bodies in which each three bytes would become a struct.
func (a *abused) wideJSON(t *testing.T, clients int) {
	list := func(size int) string { return "[" + strings.TrimSuffix(strings.Repeat("{},", size/3), ",") + "]" }
	calls := []string{
		a.signedPost("/events", "", `{"trackingId":"t","sessionId":"s","eventList":`+list(1<<20-100)+`}`),
		a.signedPost("/items", "", `{"datasetArn":"arn:aws:personalize:::x","items":`+list(4<<20-100)+`}`),
		a.signedPost("/personalize-ranking", "", `{"campaignArn":"arn:aws:personalize:::x","userId":"u","inputList":[`+strings.TrimSuffix(strings.Repeat(`"",`, (2<<20-200)/3), ",")+`]}`),
	}
	wait, hangUp := a.connect(t, clients, func(n int, conn *net.TCPConn) {
		_ = conn.SetDeadline(time.Now().Add(2 * patience))
		_, _ = io.WriteString(conn, calls[n%len(calls)])
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return // reset: refused before it was sent
		}
		if resp.StatusCode != http.StatusBadRequest && resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
	defer hangUp()
	wait()
	a.checkPrompt("after wide JSON", 10)
}

// deaf asks for large pages, reads none, and in the end finds its connection closed: the server waits only so long for
// an answer to be taken.
func (a *abused) deaf(t *testing.T, clients int) {
	requests := strings.Repeat("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 1000)
	var dropped atomic.Int64
	wait, hangUp := a.connect(t, clients, func(_ int, conn *net.TCPConn) {
		_ = conn.SetReadBuffer(4096)
		_ = conn.SetWriteDeadline(time.Now().Add(3 * time.Minute))
		_, _ = io.WriteString(conn, requests)
		for long() {
			if _, err := conn.Write([]byte("x")); err != nil {
				if !os.IsTimeout(err) {
					dropped.Add(1)
				}
				return
			}
			time.Sleep(time.Second) // the client's pace, not the test's
		}
	})
	defer hangUp()
	a.checkPrompt("beside clients that do not read", 20)
	wait()
	if long() && int(dropped.Load()) != clients {
		t.Errorf("of %d clients that do not read %d were dropped", clients, dropped.Load())
	}
}

// resets breaks connections off in every part of a call.
func (a *abused) resets(t *testing.T, clients int) {
	call := a.signedPost("/events", "", `{"trackingId":"t","sessionId":"s","eventList":[]}`)
	wait, _ := a.connect(t, clients, func(n int, conn *net.TCPConn) {
		_, _ = io.WriteString(conn, call[:n*len(call)/clients])
		_ = conn.SetLinger(0)
		conn.Close()
	})
	wait()
	a.checkPrompt("after resets", 10)
}
