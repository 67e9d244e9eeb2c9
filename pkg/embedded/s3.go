package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3err"

	"github.com/penchant-io/penchant/pkg/awsapi"
)

type s3Server struct {
	addr string
	stop context.CancelFunc
	done chan error // the gateway's end
}

func startS3(dir string, unclean bool, cfg Config) (*s3Server, error) {
	if len(cfg.AccessKeys) == 0 {
		return nil, errors.New("no access keys")
	}
	root := filepath.Join(dir, "s3")
	if unclean {
		if err := removeUnfinished(root); err != nil {
			return nil, fmt.Errorf("removing unfinished objects: %w", err)
		}
	}
	files, err := openFiles(root, filepath.Join(dir, "s3-metadata"))
	if err != nil {
		return nil, err
	}
	// The gateway opens its listener itself and doesn't tell the port. A free one is looked up for it, which another
	// process may snatch before it is there: then the next one is tried.
	_, port, err := net.SplitHostPort(cfg.S3Addr)
	if err != nil {
		return nil, err
	}
	for attempt := 0; ; attempt++ {
		server, err := serveS3(files, cfg)
		if err == nil || port != "0" || attempt == 5 {
			return server, err
		}
	}
}

func serveS3(files *files, cfg Config) (*s3Server, error) {
	listener, err := net.Listen("tcp", cfg.S3Addr) // a taken address has a clear error here
	if err != nil {
		return nil, err
	}
	addr := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, err
	}
	root := cfg.AccessKeys[0]
	listening := make(chan struct{})
	runCtx, stop := context.WithCancel(context.Background())
	server := &s3Server{addr: addr, stop: stop, done: make(chan error, 1)}
	go func() {
		server.done <- embedgw.RunVersityGW(runCtx, files, &embedgw.Config{
			RootUserAccess:    root.AccessKeyID,
			RootUserSecret:    root.SecretKey,
			Region:            cfg.Region,
			Ports:             []string{addr},
			MaxConnections:    4096,
			MaxRequests:       1024,
			MultipartMaxParts: 10000,
			Quiet:             true,
			KeepAlive:         true,
			DisableACLs:       true,
			IAMService:        newAccounts(cfg.AccessKeys[1:]),
			S3Options:         []s3api.Option{s3api.WithOnListen(func() { close(listening) })},
		})
	}()
	select {
	case <-listening:
		if err := answers(addr); err != nil {
			return nil, errors.Join(err, server.close())
		}
		return server, nil
	case err := <-server.done:
		stop()
		if err == nil {
			err = errors.New("the S3 gateway ended at once")
		}
		return nil, err
	}
}

// answers waits for the answer to a request, whatever it is. The gateway calls itself listening a moment before it
// accepts connections, and asked to stop in that moment it would not: so nothing but the answer ends this wait of
// milliseconds.
func answers(addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("waiting for the S3 gateway: %w", err)
	}
	return response.Body.Close()
}

func (s *s3Server) close() error {
	s.stop()
	if err := <-s.done; err != nil {
		return fmt.Errorf("stopping the embedded S3: %w", err)
	}
	return nil
}

// openFiles opens the directory that holds the buckets. Metadata is kept in extended attributes, and in a directory
// beside it where the file system has none; once that directory is there, it stays in use.
func openFiles(root, sidecar string) (*files, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("creating the bucket directory: %w", err)
	}
	var storer meta.MetadataStorer = meta.XattrMeta{}
	_, err := os.Stat(sidecar)
	if err == nil || !hasAttributes(root) {
		if err := os.MkdirAll(sidecar, 0o700); err != nil {
			return nil, fmt.Errorf("creating the bucket directory's metadata: %w", err)
		}
		if storer, err = meta.NewSideCar(sidecar); err != nil {
			return nil, fmt.Errorf("opening the bucket directory's metadata: %w", err)
		}
	}
	// The library changes the process's working directory to its root and reads bucket names relative to that. Given
	// the directory we are in anyway it changes nothing; files passes it absolute paths.
	options := posix.PosixOpts{ForceNoObjLockFile: true} // the data directory has one user, and files locks
	options.SetNewDirPerm(0o700)
	options.SetNewFilePerm(0o600)
	store, err := posix.New(".", storer, options)
	if err != nil {
		return nil, fmt.Errorf("opening the bucket directory: %w", err)
	}
	return &files{root: root, posix: store}, nil
}

// unfinished are the names under which the backend prepares an object that replaces another.
var unfinished = regexp.MustCompile(`^\..*\.sgwtmp\.[0-9]+$`)

// removeUnfinished removes what puts and uploads left that a crash broke off. The former would show in listings.
func removeUnfinished(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == posix.MetaTmpDir && filepath.Dir(filepath.Dir(path)) == root:
			if err := os.RemoveAll(path); err != nil {
				return err
			}
			return fs.SkipDir
		case !entry.IsDir() && unfinished.MatchString(entry.Name()):
			return os.Remove(path)
		}
		return nil
	})
}

// hasAttributes reports whether files in dir can carry extended attributes of some size.
func hasAttributes(dir string) bool {
	probe, err := os.CreateTemp(dir, ".probe-")
	if err != nil {
		return false
	}
	err = meta.XattrMeta{}.StoreAttribute(probe, "", "", "probe", []byte(strings.Repeat("x", 1024)))
	return errors.Join(err, probe.Close(), os.Remove(probe.Name())) == nil
}

// accounts are the access keys besides the first. All of them may do everything.
type accounts map[string]auth.Account

func newAccounts(keys []awsapi.Credential) accounts {
	a := make(accounts, len(keys))
	for _, key := range keys {
		a[key.AccessKeyID] = auth.Account{Access: key.AccessKeyID, Secret: key.SecretKey, Role: auth.RoleAdmin}
	}
	return a
}

func (a accounts) GetUserAccount(access string) (auth.Account, error) {
	account, ok := a[access]
	if !ok {
		return auth.Account{}, auth.ErrNoSuchUser
	}
	return account, nil
}

func (a accounts) ResolveAccounts(ids []string) ([]string, error) {
	missing := []string{}
	for _, id := range ids {
		if _, ok := a[id]; !ok {
			missing = append(missing, id)
		}
	}
	return missing, nil
}

func (a accounts) ListUserAccounts() ([]auth.Account, error) { return nil, errFixedAccounts() }
func (a accounts) CreateAccount(auth.Account) error          { return errFixedAccounts() }
func (a accounts) DeleteUserAccount(string) error            { return errFixedAccounts() }
func (a accounts) Shutdown() error                           { return nil }
func (a accounts) UpdateUserAccount(string, auth.MutableProps) error {
	return errFixedAccounts()
}

func errFixedAccounts() error { return s3err.GetAPIError(s3err.ErrAdminMethodNotSupported) }
