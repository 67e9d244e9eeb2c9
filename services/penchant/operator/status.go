package operator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/userstate"
	"github.com/penchant-io/penchant/services/firehose"
	"github.com/penchant-io/penchant/services/sessionupdater"
)

// Status is an installation at one moment.
type Status struct {
	At            time.Time          `json:"at"`
	Endpoints     map[string]string  `json:"endpoints"`
	DatasetGroups []GroupStatus      `json:"datasetGroups"`
	Redis         []userstate.Server `json:"redis"`
	Topics        []TopicStatus      `json:"topics"`
	// Unreachable has the reason of each server that did not answer; its part of the status is missing above.
	Unreachable map[string]string `json:"unreachable"`
}

// GroupStatus is one dataset group.
type GroupStatus struct {
	Name   string `json:"name"`
	ARN    string `json:"arn"`
	Key    string `json:"key"`
	Status string `json:"status"`
	// Resources counts the group's resources, by type and status.
	Resources map[string]map[string]int `json:"resources"`
	Jobs      []JobStatus               `json:"jobs"`
	// Campaigns and Recommenders are what answers.
	Campaigns    []DeploymentStatus `json:"campaigns"`
	Recommenders []DeploymentStatus `json:"recommenders"`
	Events       *EventStatus       `json:"events"`  // null: Kafka does not answer, or has no such topic
	Archive      *ArchiveStatus     `json:"archive"` // null: the end of a chain is damaged
}

// JobStatus is an import, a training or another job that waits or runs.
type JobStatus struct {
	ARN      string    `json:"arn"`
	Status   string    `json:"status"`
	Progress float64   `json:"progress"` // 0 to 1
	Created  time.Time `json:"created"`
	Worker   string    `json:"worker,omitempty"`
	// ExpectedEnd is estimated from the time it took until now; null before a tenth of it is done.
	ExpectedEnd *time.Time `json:"expectedEnd"`
}

// DeploymentStatus is a campaign or a recommender and the age of its model.
type DeploymentStatus struct {
	Name            string    `json:"name"`
	Status          string    `json:"status"`
	SolutionVersion string    `json:"solutionVersion"` // "": a recommender's first is not trained yet
	Trained         time.Time `json:"trained"`
}

// EventStatus counts the events of an interactions topic and the lags of its readers.
type EventStatus struct {
	// Accepted counts the interactions that this topic has ever taken, InLog those of them that Kafka still holds.
	Accepted int64 `json:"accepted"`
	InLog    int64 `json:"inLog"`
	// ArchiveLag and FoldLag are how many are not archived, and not folded into user states, yet.
	ArchiveLag int64      `json:"archiveLag"`
	FoldLag    int64      `json:"foldLag"`
	Newest     *time.Time `json:"newest"`
}

// ArchiveStatus counts what the bucket holds of a group's topics, including deleted ones.
type ArchiveStatus struct {
	Chains int        `json:"chains"`
	Files  int        `json:"files"`
	Bytes  int64      `json:"bytes"`
	Newest *time.Time `json:"newest"` // when the newest file was written
}

// TopicStatus is one topic.
type TopicStatus struct {
	Name       string `json:"name"`
	Partitions int32  `json:"partitions"`
	Records    int64  `json:"records"` // offsets that the log holds
}

// Status looks at everything once. Servers that do not answer leave their part empty and are named; the error is then
// ErrProblems.
func (i *Installation) Status(ctx context.Context) (*Status, error) {
	s := &Status{
		At: time.Now().UTC().Truncate(time.Millisecond), DatasetGroups: []GroupStatus{}, Redis: []userstate.Server{},
		Topics: []TopicStatus{},
		Endpoints: map[string]string{kafka: strings.Join(i.config.Brokers, ","), s3: i.config.S3.Endpoint,
			"bucket": i.config.Bucket},
		Unreachable: map[string]string{},
	}
	part := func(server string, look func(context.Context, *Status) error) {
		err := i.ping(ctx, server)
		if err == nil {
			err = look(ctx, s)
		}
		if err != nil {
			s.Unreachable[server] = err.Error()
		}
	}
	part(s3, i.catalogStatus)
	part(kafka, i.topicStatus)
	part(redis, func(ctx context.Context, s *Status) error {
		servers, err := i.users.Servers(ctx)
		s.Redis = append(s.Redis, servers...)
		return err
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(s.Unreachable) > 0 {
		return s, fmt.Errorf("%w: %s could not be asked", ErrProblems,
			strings.Join(slices.Sorted(maps.Keys(s.Unreachable)), ", "))
	}
	return s, nil
}

// groupOf is the dataset group that a resource belongs to, however far up, "" for none.
func groupOf(r catalog.Resource, all map[string]catalog.Resource) string {
	for _, arn := range r.Meta().Parents {
		if resource.TypeOf(arn) == resource.DatasetGroup {
			return arn
		}
		if parent, ok := all[arn]; ok {
			if group := groupOf(parent, all); group != "" {
				return group
			}
		}
	}
	return ""
}

func (i *Installation) catalogStatus(ctx context.Context, s *Status) error {
	groups, err := i.groups(ctx, "")
	if err != nil {
		return err
	}
	resources, err := i.resources(ctx)
	if err != nil {
		return err
	}
	for _, group := range groups {
		status := GroupStatus{
			Name: group.Name, ARN: group.ARN, Key: group.GroupKey(), Status: group.Status,
			Resources: map[string]map[string]int{}, Jobs: []JobStatus{}, Campaigns: []DeploymentStatus{},
			Recommenders: []DeploymentStatus{},
		}
		for _, r := range resources {
			if groupOf(r, resources) == group.ARN {
				status.add(r, resources)
			}
		}
		if status.Archive, err = i.archiveStatus(ctx, group.GroupKey()); err != nil {
			return err
		}
		s.DatasetGroups = append(s.DatasetGroups, status)
	}
	return nil
}

func (i *Installation) archiveStatus(ctx context.Context, key string) (*ArchiveStatus, error) {
	chains, err := archive.Chains(ctx, i.bucket, key)
	var corrupt *archive.CorruptError
	if errors.As(err, &corrupt) {
		return nil, nil // the doctor reports more
	}
	if err != nil {
		return nil, err
	}
	status := &ArchiveStatus{Chains: len(chains)}
	for _, c := range chains {
		status.Files += c.Files
		status.Bytes += c.Bytes
		if status.Newest == nil || c.LastModified.After(*status.Newest) {
			status.Newest = &c.LastModified
		}
	}
	return status, nil
}

// resources reads everything that belongs to dataset groups, by ARN.
func (i *Installation) resources(ctx context.Context) (map[string]catalog.Resource, error) {
	all := map[string]catalog.Resource{}
	return all, cmp.Or(
		gather[*catalog.Dataset](ctx, i, all), gather[*catalog.DatasetImportJob](ctx, i, all),
		gather[*catalog.DatasetExportJob](ctx, i, all),
		gather[*catalog.DataDeletionJob](ctx, i, all), gather[*catalog.EventTracker](ctx, i, all),
		gather[*catalog.Filter](ctx, i, all),
		gather[*catalog.Solution](ctx, i, all), gather[*catalog.SolutionVersion](ctx, i, all),
		gather[*catalog.Campaign](ctx, i, all),
		gather[*catalog.Recommender](ctx, i, all), gather[*catalog.BatchInferenceJob](ctx, i, all),
		gather[*catalog.BatchSegmentJob](ctx, i, all),
		gather[*catalog.MetricAttribution](ctx, i, all),
	)
}

func gather[R catalog.Resource](ctx context.Context, i *Installation, all map[string]catalog.Resource) error {
	list, err := catalog.Of[R](i.catalog).List(ctx)
	for _, r := range list {
		all[r.Meta().ARN] = r
	}
	return err
}

func (g *GroupStatus) add(r catalog.Resource, all map[string]catalog.Resource) {
	m := r.Meta()
	if g.Resources[m.Type] == nil {
		g.Resources[m.Type] = map[string]int{}
	}
	g.Resources[m.Type][m.Status]++
	switch r := r.(type) {
	case *catalog.DatasetImportJob, *catalog.DatasetExportJob, *catalog.DataDeletionJob, *catalog.BatchInferenceJob,
		*catalog.BatchSegmentJob, *catalog.SolutionVersion:
		if m.Finished() || m.Deleting() {
			break
		}
		job := JobStatus{ARN: m.ARN, Status: m.Status, Progress: m.Progress, Created: m.CreatedAt}
		if m.Leased(time.Now()) {
			job.Worker = m.Lease.Owner
			if !m.ExpectedEnd.IsZero() {
				job.ExpectedEnd = &m.ExpectedEnd
			}
		}
		g.Jobs = append(g.Jobs, job)
		slices.SortFunc(g.Jobs, func(a, b JobStatus) int {
			return cmp.Or(a.Created.Compare(b.Created),
				cmp.Compare(a.ARN, b.ARN))
		})
	case *catalog.Campaign:
		g.Campaigns = deployed(g.Campaigns, m, r.SolutionVersionARN, all)
	case *catalog.Recommender:
		g.Recommenders = deployed(g.Recommenders, m, r.SolutionVersionARN, all)
	}
}

// deployed adds what answers with a solution version to a list ordered by name.
func deployed(list []DeploymentStatus, m *catalog.Metadata, versionARN string,
	all map[string]catalog.Resource) []DeploymentStatus {
	d := DeploymentStatus{Name: m.Name, Status: m.Status, SolutionVersion: versionARN}
	if version, ok := all[versionARN]; ok {
		d.Trained = version.Meta().UpdatedAt // it changes no more once it is trained
	}
	list = append(list, d)
	slices.SortFunc(list, func(a, b DeploymentStatus) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func (i *Installation) topicStatus(ctx context.Context, s *Status) error {
	names, err := i.topics(ctx, "", "")
	if err != nil {
		return err
	}
	topics, err := i.bus.Topics(ctx, names...)
	if err != nil {
		return err
	}
	held, err := i.bus.Offsets(ctx, names...)
	if err != nil {
		return err
	}
	newest, err := i.bus.NewestArrivals(ctx, names...)
	if err != nil {
		return err
	}
	lags, err := i.Lag(ctx, LagFilter{})
	if err != nil {
		return err
	}
	for _, name := range names {
		topic := TopicStatus{Name: name, Partitions: topics[name].Partitions}
		for partition := range topic.Partitions {
			offsets := held[bus.TopicPartition{Topic: name, Partition: partition}]
			topic.Records += offsets.End - offsets.Start
		}
		s.Topics = append(s.Topics, topic)
	}
	for k := range s.DatasetGroups {
		group := &s.DatasetGroups[k]
		name := schema.Interactions.Topic(group.Key)
		if _, ok := topics[name]; !ok {
			continue
		}
		group.Events = eventStatus(name, held, lags)
		if at, ok := newest[name]; ok {
			at = at.UTC()
			group.Events.Newest = &at
		}
	}
	return nil
}

// eventStatus adds up the partitions of an interactions topic.
func eventStatus(topic string, held map[bus.TopicPartition]bus.OffsetRange, lags *Lags) *EventStatus {
	events := &EventStatus{}
	for partition, offsets := range held {
		if partition.Topic == topic {
			events.Accepted += offsets.End
			events.InLog += offsets.End - offsets.Start
		}
	}
	for _, lag := range lags.Partitions {
		switch {
		case lag.Topic != topic:
		case lag.ConsumerGroup == firehose.ConsumerGroup:
			events.ArchiveLag += lag.Lag
		case lag.ConsumerGroup == sessionupdater.ConsumerGroup:
			events.FoldLag += lag.Lag
		}
	}
	return events
}

// Page is the status for people.
func (s *Status) Page() string {
	var page strings.Builder
	for _, server := range slices.Sorted(maps.Keys(s.Unreachable)) {
		fmt.Fprintf(&page, "%s does not answer: %s\n", server, s.Unreachable[server])
	}
	if _, failed := s.Unreachable[s3]; len(s.DatasetGroups) == 0 && !failed {
		fmt.Fprintln(&page, "no dataset groups")
	}
	for _, g := range s.DatasetGroups {
		g.print(&page, s.At)
	}
	for _, server := range s.Redis {
		fmt.Fprintf(&page, "Redis %s: %d keys", server.Addr, server.Keys)
		if server.UsedMemory > 0 {
			fmt.Fprintf(&page, " in %s", byteCount(server.UsedMemory))
		}
		fmt.Fprintln(&page)
	}
	fmt.Fprintln(&page)
	var rows [][]string
	for _, t := range s.Topics {
		rows = append(rows, []string{t.Name, fmt.Sprint(t.Partitions), fmt.Sprint(t.Records)})
	}
	printTable(&page, []string{"TOPIC", "PARTITIONS", "RECORDS"}, rows)
	return page.String()
}

func (g *GroupStatus) print(w *strings.Builder, now time.Time) {
	fmt.Fprintf(w, "Dataset group %s (%s): %s\n", g.Name, g.Key, g.Status)
	for _, kind := range slices.Sorted(maps.Keys(g.Resources)) {
		var counts []string
		for _, status := range slices.Sorted(maps.Keys(g.Resources[kind])) {
			counts = append(counts, fmt.Sprintf("%d %s", g.Resources[kind][status], status))
		}
		fmt.Fprintf(w, "  %-20s %s\n", kind, strings.Join(counts, ", "))
	}
	for _, j := range g.Jobs {
		fmt.Fprintf(w, "  job %s: %s, %.0f %%%s, created %s\n", j.ARN, j.Status, 100*j.Progress,
			left(now, j.ExpectedEnd), ago(now, j.Created))
	}
	for _, c := range g.Campaigns {
		fmt.Fprintf(w, "  campaign %s: %s, model trained %s\n", c.Name, c.Status, ago(now, c.Trained))
	}
	for _, r := range g.Recommenders {
		fmt.Fprintf(w, "  recommender %s: %s, model trained %s\n", r.Name, r.Status, ago(now, r.Trained))
	}
	if e := g.Events; e != nil {
		fmt.Fprintf(w, "  events: %d accepted, %d in the log, %d not archived, %d not folded; newest %s\n", e.Accepted,
			e.InLog, e.ArchiveLag, e.FoldLag, agoOf(now, e.Newest))
	}
	if a := g.Archive; a != nil {
		fmt.Fprintf(w, "  archive: %d files, %s; newest file %s\n", a.Files, byteCount(a.Bytes), agoOf(now, a.Newest))
	}
	fmt.Fprintln(w)
}

// left formats the rest of a job's time, for people.
func left(now time.Time, end *time.Time) string {
	if end == nil {
		return ""
	}
	return ", about " + max(end.Sub(now), time.Second).Round(time.Second).String() + " left"
}

func agoOf(now time.Time, at *time.Time) string {
	if at == nil {
		return "never"
	}
	return ago(now, *at)
}
