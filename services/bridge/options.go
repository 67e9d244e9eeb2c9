package bridge

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
)

// fromLatest is the setting From of a bridge that leaves out what its topics hold already.
const fromLatest = "latest"

// Options are the settings of a bridge, with the flags that they are given by.
type Options struct {
	Topics []string `name:"bridge-topics" required:"" placeholder:"NAME,…" help:"Topics to read, separated by commas."`
	// MappingFile is what ReadMapping reads.
	MappingFile string `name:"bridge-mapping" required:"" type:"path" placeholder:"FILE" help:"Mapping file."`
	TrackingID  string `name:"bridge-tracking-id" required:"" placeholder:"ID" help:"Event tracker whose events they become."`
	// Endpoint is the URL of the API that Tracker calls.
	Endpoint string `name:"bridge-endpoint" default:"http://127.0.0.1:8080" help:"Where PutEvents is called; signed with the first pair of --access-keys."`
	// Group is the Kafka group; "": ConsumerGroup.
	Group string `name:"bridge-group" default:"${bridge_group}" help:"Kafka consumer group: one for each mapping. Lags are shown of those that begin with ${bridge_group}."`
	// From is where a group begins that has committed nothing yet: latest begins with what comes; otherwise with the
	// oldest records.
	From string `name:"bridge-from" enum:"earliest,latest" default:"earliest" help:"Where a group begins that has read nothing yet: earliest or latest."`
	// DeadLetterTopic; "": one for each source topic.
	DeadLetterTopic string `name:"bridge-dead-letter-topic" help:"Topic of the records that can't become events. Default: <topic>.penchant-deadletter."`
	// Concurrency bounds the calls that are under way at once; 0: 16.
	Concurrency int `name:"bridge-concurrency" default:"16" help:"Calls that are under way at once."`
}

// Validate returns an error that names the wrong setting and its rule.
func (o *Options) Validate() error {
	if u, err := url.Parse(o.Endpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("--bridge-endpoint %q: want http://host:port or https://host:port", o.Endpoint)
	}
	if len(o.Topics) == 0 || slices.Contains(o.Topics, "") {
		return errors.New("--bridge-topics: want the names of the topics to read")
	}
	if o.TrackingID == "" {
		return errors.New("--bridge-tracking-id: want the tracking id that CreateEventTracker returned")
	}
	if o.Concurrency < 1 {
		return fmt.Errorf("--bridge-concurrency %d: must be at least 1", o.Concurrency)
	}
	return nil
}

// ReadMapping reads a mapping file.
func ReadMapping(path string) (*Mapping, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the mapping: %w", err)
	}
	return ParseMapping(text)
}
