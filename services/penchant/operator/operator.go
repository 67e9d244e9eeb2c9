// Package operator answers what the people who run an installation ask of it: is everything in order (doctor), what is
// going on (status), how far behind is who (lag), what stands in the topics (tail), is the archive whole, and what
// became of the records that could not be handled. The commands of `penchant` with these names are a thin layer above
// it.
//
// It speaks to the same Kafka, Redis and bucket as the services, and to no service: an answer does not depend on one
// being up. Everything but the two replays and the creation of topics only reads (the doctor's probe of the bucket
// writes and removes an object of its own).
//
// Results have a form for people, Page, and their JSON, whose members are only ever added to.
package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/userstate"
)

// ErrProblems is the error of a check that found something wrong, which the result describes; the check itself
// succeeded.
var ErrProblems = errors.New("problems were found")

// Config has the addresses of the servers. A server without an address is not known: what needs it is refused with its
// setting.
type Config struct {
	Brokers  []string
	RedisURL string
	S3       blob.Config
	Bucket   string
	// Embedded are the servers that a `penchant all` on this machine brings along: "kafka", "redis", "s3".
	Embedded []string
	// Topics are the defaults with which targets create topics.
	Topics bus.TopicDefaults
	Users  userstate.Options
	// DefaultKeys is whether the API takes the key pair that everyone knows.
	DefaultKeys bool
}

// Installation is the outside of Penchant: its servers.
type Installation struct {
	config  Config
	bus     *bus.Client
	objects *blob.Client
	bucket  *blob.Bucket
	catalog *catalog.Store
	users   *userstate.Store
}

// Open makes the clients of the servers that are known. It dials none of them. The caller closes.
func Open(ctx context.Context, config Config) (i *Installation, err error) {
	i = &Installation{config: config}
	defer func() {
		if err != nil {
			i.Close()
		}
	}()
	if len(config.Brokers) > 0 {
		if i.bus, err = bus.Open(ctx, bus.Config{Brokers: config.Brokers, ClientID: "penchant-operator",
			Topics: config.Topics}); err != nil {
			return nil, err
		}
	}
	if config.S3.Endpoint != "" {
		if i.objects, err = blob.Open(config.S3); err != nil {
			return nil, err
		}
		i.bucket = i.objects.Bucket(config.Bucket)
		i.catalog = catalog.NewStore(i.bucket, nil)
	}
	if config.RedisURL != "" {
		if i.users, err = userstate.Open(ctx, config.RedisURL, config.Users); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// Close closes the clients.
func (i *Installation) Close() {
	if i.bus != nil {
		i.bus.Close()
	}
	if i.objects != nil {
		i.objects.Close()
	}
	if i.users != nil {
		_ = i.users.Close() // nothing is under way any more
	}
}

// The servers, as Config.Embedded and need name them.
const (
	kafka = "kafka"
	redis = "redis"
	s3    = "s3"
)

// settingOf returns the setting of a server's address.
var settingOf = map[string]string{
	kafka: "PENCHANT_KAFKA_BROKERS (--kafka-brokers)",
	redis: "PENCHANT_REDIS_URL (--redis-url)",
	s3:    "PENCHANT_S3_ENDPOINT (--s3-endpoint)",
}

// pingTimeout bounds the wait for a server's first answer.
const pingTimeout = 10 * time.Second

// need returns an error unless the servers are known and answer, so that a command fails at once, with the reason,
// instead of trying on for minutes as the services do.
func (i *Installation) need(ctx context.Context, servers ...string) error {
	for _, server := range servers {
		if err := i.ping(ctx, server); err != nil {
			return err
		}
	}
	return nil
}

func (i *Installation) ping(ctx context.Context, server string) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	known, err := false, error(nil)
	switch server {
	case kafka:
		if known = i.bus != nil; known {
			err = i.bus.Ping(ctx)
		}
	case redis:
		if known = i.users != nil; known {
			err = i.users.Ping(ctx)
		}
	case s3:
		if known = i.bucket != nil; known {
			if _, err = i.bucket.Head(ctx, "catalog/sign-of-life"); errors.Is(err, blob.ErrNotFound) {
				err = nil
			}
		}
	}
	if !known {
		return fmt.Errorf("no %s is known: set %s, or the --data-dir of a running penchant all", server,
			settingOf[server])
	}
	if err != nil && i.embeds(server) {
		return fmt.Errorf("%w (its address is that of the penchant all which used this --data-dir last: is it running?)", err)
	}
	return err
}

func (i *Installation) embeds(server string) bool { return slices.Contains(i.config.Embedded, server) }

// groups finds a dataset group by its name, key or ARN, or all of them for "".
func (i *Installation) groups(ctx context.Context, name string) ([]*catalog.DatasetGroup, error) {
	all, err := i.catalog.DatasetGroups.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the dataset groups: %w", err)
	}
	if name == "" {
		return all, nil
	}
	var names []string
	for _, group := range all {
		if name == group.Name || name == group.GroupKey() || name == group.ARN {
			return []*catalog.DatasetGroup{group}, nil
		}
		names = append(names, group.Name)
	}
	return nil, &unknownGroupError{name, names}
}

type unknownGroupError struct {
	name  string
	known []string
}

func (e *unknownGroupError) Error() string {
	if len(e.known) == 0 {
		return fmt.Sprintf("no dataset group %q: there is none at all", e.name)
	}
	return fmt.Sprintf("no dataset group %q: there are %s", e.name, strings.Join(e.known, ", "))
}

// archivedKeys are the keys of the groups whose archive is asked for. A group that the catalog has forgotten is found
// by its key as long as its archive stands.
func (i *Installation) archivedKeys(ctx context.Context, name string) ([]string, error) {
	groups, err := i.groups(ctx, name)
	var unknown *unknownGroupError
	if errors.As(err, &unknown) && !strings.Contains(name, "/") {
		for _, err := range i.bucket.List(ctx, archive.GroupPrefix(name)) {
			if err != nil {
				return nil, fmt.Errorf("listing the archive: %w", err)
			}
			return []string{name}, nil
		}
	}
	if err != nil {
		return nil, err
	}
	keys := make([]string, len(groups))
	for k, group := range groups {
		keys[k] = group.GroupKey()
	}
	return keys, nil
}

// printTable writes rows in columns under a header.
func printTable(page *strings.Builder, header []string, rows [][]string) {
	var text strings.Builder
	for _, row := range append([][]string{header}, rows...) {
		text.WriteString(strings.Join(row, "\t") + "\n")
	}
	table := tabwriter.NewWriter(page, 0, 0, 2, ' ', 0)
	_, _ = table.Write([]byte(text.String())) // a Builder takes all
	_ = table.Flush()
}

// ago formats how long ago something was, for people.
func ago(now, at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	switch d := now.Sub(at); {
	case d < 0:
		return "now"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd ago", int(d.Hours()/24))
	}
}
