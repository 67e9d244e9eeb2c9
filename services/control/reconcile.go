package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	penchantv1 "github.com/penchant-io/penchant/proto/penchant/v1"
)

const (
	// workers bounds the resources that are driven at the same time.
	workers = 4
	// scanInterval is when a resource whose transition failed, or was another replica's that died, is tried again.
	scanInterval = 2 * time.Second
	// repairInterval is how often the families of the catalog are checked.
	repairInterval = 30 * time.Second
	// topicsInterval is how often the topics of dataset groups are looked at, topicsTimeout how long that may take.
	topicsInterval = 10 * time.Second
	topicsTimeout  = 5 * time.Second
	// stopLease is more than the one write that ends an abandoned training.
	stopLease = 30 * time.Second
)

// Run drives resources to the state that was asked for, until the context ends. Each change in the catalog puts its resource into the
// queue; a scan makes up for what failed.
func (s *Service) Run(ctx context.Context) error {
	cancel := s.view.Subscribe(s.queue.add)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	for range workers {
		group.Go(func() error {
			s.work(ctx)
			return nil
		})
	}
	group.Go(func() error { return s.scanLoop(ctx) })
	group.Go(func() error { return s.workflows.Run(ctx) })
	return group.Wait()
}

func (s *Service) work(ctx context.Context) {
	for {
		arn, ok := s.queue.take(ctx)
		if !ok {
			return
		}
		err := s.reconcile(ctx, arn)
		s.queue.done(arn)
		result := "done"
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, catalog.ErrNotFound), errors.Is(err, catalog.ErrLeased), errors.Is(err, catalog.ErrLeaseLost), errors.Is(err, catalog.ErrDeleting):
			result = "overtaken" // by another replica, or by its own deletion
		case errors.Is(err, errStopping):
			result = "waiting"
		case err != nil:
			result = "failed"
			s.log.Warn("driving a resource failed, it is tried again", zap.String("arn", arn), zap.Error(err))
		}
		s.reconciled.WithLabelValues(resource.TypeOf(arn), result).Inc()
	}
}

func (s *Service) scanLoop(ctx context.Context) error {
	if err := s.view.WaitReady(ctx); err != nil {
		return nil // asked to stop
	}
	scan, repair, topics := time.NewTicker(scanInterval), time.NewTicker(repairInterval), time.NewTicker(topicsInterval)
	defer scan.Stop()
	defer repair.Stop()
	defer topics.Stop()
	for {
		s.scan()
		select {
		case <-ctx.Done():
			return nil
		case <-scan.C:
		case <-repair.C:
			s.repair(ctx)
		case <-topics.C:
			s.repairTopics(ctx)
		}
	}
}

func (s *Service) scan() {
	for _, r := range catalog.All[catalog.Resource](s.view) {
		if s.unsettled(r) {
			s.queue.add(r.Meta().ARN)
		}
	}
}

func (s *Service) repair(ctx context.Context) {
	repaired, err := s.store.Repair(ctx, s.view)
	if err != nil && ctx.Err() == nil {
		s.log.Warn("repairing the catalog", zap.Error(err))
	}
	if repaired > 0 {
		s.log.Info("repaired the catalog after interrupted requests", zap.Int("resources", repaired))
	}
}

// repairTopics creates the topics that groups in use lack: somebody has deleted them, and no event could be taken, or the group is
// older than the release that gave it the topic. A topic made again has an identity of its own, and so an archive of its own behind
// the old one's.
func (s *Service) repairTopics(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, topicsTimeout)
	defer cancel()
	existing, err := s.bus.Topics(ctx)
	if err != nil {
		return // while Kafka is away, whoever needs it says so
	}
	for _, group := range catalog.All[*catalog.DatasetGroup](s.view) {
		if group.Status != status.Active {
			continue
		}
		var missing []bus.TopicSpec
		for _, spec := range GroupTopics(group.GroupKey()) {
			if _, ok := existing[spec.Name]; !ok {
				missing = append(missing, spec)
			}
		}
		if len(missing) == 0 {
			continue
		}
		// The view may be a moment behind: topics of a group that is being deleted must not come back.
		current, err := s.store.DatasetGroups.Get(ctx, group.ARN)
		if err != nil || current.ID != group.ID || current.Status != status.Active {
			continue
		}
		if err := s.bus.EnsureTopics(ctx, missing...); err != nil {
			s.log.Warn("creating missing topics of a dataset group failed, it is tried again", zap.String("arn", group.ARN), zap.Error(err))
			continue
		}
		names := topicNames(missing)
		if addedLater(names, group.GroupKey()) {
			s.log.Info("created the topics that a dataset group of an earlier release did not have", zap.String("arn", group.ARN), zap.Strings("topics", names))
			continue
		}
		s.log.Error("topics of a dataset group were missing and were created again: what they held and was not archived is lost",
			zap.String("arn", group.ARN), zap.Strings("topics", names))
	}
}

// addedLater reports whether the missing topics are those that no group had before there were actions.
func addedLater(missing []string, group string) bool {
	return slices.Equal(missing, []string{schema.Actions.Topic(group), schema.ActionInteractions.Topic(group)})
}

// unsettled says whether there is something for control to do about a resource.
func (s *Service) unsettled(r catalog.Resource) bool {
	m := r.Meta()
	if m.Deleting() {
		return !m.Leased(time.Now()) // else somebody is at it
	}
	switch r := r.(type) {
	case *catalog.DatasetGroup, *catalog.EventTracker, *catalog.Filter, *catalog.Experiment:
		return m.Status == status.CreatePending
	case *catalog.MetricAttribution:
		return m.Status == status.CreatePending || m.Status == status.Active && lacksBeginning(r)
	case *catalog.Dataset:
		return m.Status == status.CreatePending || r.LatestUpdate.Pending()
	case *catalog.Solution:
		return m.Status == status.CreatePending || s.abandoned(r)
	case *catalog.Recommender:
		return s.recommenderUnsettled(r)
	case *catalog.SolutionVersion:
		return m.Status == status.CreateStopping && !m.Leased(time.Now())
	case *catalog.Campaign:
		return m.Status == status.CreatePending || r.LatestUpdate.Pending() || s.outdated(r)
	}
	return false
}

// reconcile drives one resource one step further. It reads the resource anew: the view only says where to look.
func (s *Service) reconcile(ctx context.Context, arn string) error {
	s.followVersion(arn)
	s.followTraining(arn)
	seen, ok := catalog.Lookup[catalog.Resource](s.view, arn)
	if !ok || !s.unsettled(seen) {
		return nil
	}
	r, err := s.store.Get(ctx, arn)
	if err != nil {
		return err
	}
	m := r.Meta()
	if m.Deleting() {
		return s.delete(ctx, r)
	}
	if m.Status == status.CreatePending {
		if removed, err := s.store.RemoveOrphan(ctx, arn); removed || err != nil {
			return err
		}
	}
	switch r := r.(type) {
	case *catalog.DatasetGroup:
		return s.createTopics(ctx, r)
	case *catalog.EventTracker, *catalog.Filter, *catalog.Experiment:
		return s.activate(ctx, m)
	case *catalog.MetricAttribution:
		return s.beginReports(ctx, r)
	case *catalog.Dataset:
		if m.Status == status.CreatePending {
			return s.activate(ctx, m)
		}
		return s.replaceSchema(ctx, r)
	case *catalog.Solution:
		if r.OwnedBy != "" {
			return s.deleteAbandoned(ctx, r)
		}
		return s.activate(ctx, m)
	case *catalog.Recommender:
		return s.reconcileRecommender(ctx, r)
	case *catalog.SolutionVersion:
		return s.stop(ctx, r)
	case *catalog.Campaign:
		return s.reconcileCampaign(ctx, r)
	}
	return nil
}

// activate ends a creation.
func (s *Service) activate(ctx context.Context, m *catalog.Metadata) error {
	if m.Status != status.CreatePending {
		return nil
	}
	_, err := s.store.Update(ctx, m.ARN, func(r catalog.Resource) error {
		if r.Meta().ID != m.ID || r.Meta().Status != status.CreatePending {
			return errOvertaken
		}
		r.Meta().Status = status.Active
		return nil
	})
	return unlessOvertaken(err)
}

// errOvertaken ends an update that another replica has made.
var errOvertaken = errors.New("already done")

func unlessOvertaken(err error) error {
	if errors.Is(err, errOvertaken) {
		return nil
	}
	return err
}

// OwnTopics are the topics that an installation has once.
func OwnTopics() []bus.TopicSpec {
	return []bus.TopicSpec{
		{Name: bus.ControlTopic, Compacted: true, Partitions: 1},
		{Name: bus.JobsTopic, Partitions: 4},
	}
}

// GroupTopics are the topics of a dataset group.
func GroupTopics(group string) []bus.TopicSpec {
	var specs []bus.TopicSpec
	for _, t := range schema.Types() {
		specs = append(specs, bus.TopicSpec{Name: t.Topic(group), Compacted: !t.IsInteractions()})
	}
	return append(specs, bus.TopicSpec{Name: bus.DeadLetterTopic(group)}, bus.TopicSpec{Name: bus.RecommendationsTopic(group)})
}

func (s *Service) createTopics(ctx context.Context, g *catalog.DatasetGroup) error {
	if g.Status != status.CreatePending {
		return nil
	}
	if err := s.reachLog(ctx); err != nil {
		return fmt.Errorf("creating the topics of a dataset group: %w", err)
	}
	if err := s.bus.EnsureTopics(ctx, GroupTopics(g.GroupKey())...); err != nil {
		return fmt.Errorf("creating the topics of a dataset group: %w", err)
	}
	return s.activate(ctx, g.Meta())
}

// logTimeout is how long a worker waits for Kafka's sign of life.
const logTimeout = 2 * time.Second

// reachLog fails soon while Kafka is away: what needs it is tried again by the scan, and meanwhile the workers are free for
// what does not.
func (s *Service) reachLog(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	return s.bus.Ping(ctx)
}

// stop ends a training whose worker is gone and that was asked to stop.
func (s *Service) stop(ctx context.Context, v *catalog.SolutionVersion) error {
	held, err := s.store.SolutionVersions.Acquire(ctx, v.ARN, "control-"+shortID(), stopLease)
	if err != nil {
		return err
	}
	return held.Release(ctx, func(v *catalog.SolutionVersion) error {
		if v.Status == status.CreateStopping {
			v.Status = status.CreateStopped
		}
		return nil
	})
}

// followVersion looks at the campaigns that a changed solution version may be for.
func (s *Service) followVersion(arn string) {
	solution := resource.SolutionARN(arn)
	if solution == "" {
		return
	}
	for _, c := range catalog.All[*catalog.Campaign](s.view) {
		if c.FollowsLatest() && resource.SolutionARN(c.SolutionVersionARN) == solution {
			s.queue.add(c.ARN)
		}
	}
}

// outdated says whether a campaign follows its solution and there is a newer version than the one it serves.
func (s *Service) outdated(c *catalog.Campaign) bool {
	if !c.FollowsLatest() || c.Status != status.Active || c.LatestUpdate.Pending() {
		return false
	}
	newest := s.newestSeen(resource.SolutionARN(c.SolutionVersionARN))
	return newest != nil && newest.ARN != c.SolutionVersionARN
}

// newestSeen is the newest version of a solution that is ACTIVE in the view.
func (s *Service) newestSeen(solutionARN string) *catalog.SolutionVersion {
	versions := s.versionsOf(solutionARN)
	for _, v := range slices.Backward(versions) {
		if v.Status == status.Active {
			return v
		}
	}
	return nil
}

func (s *Service) reconcileCampaign(ctx context.Context, c *catalog.Campaign) error {
	switch {
	case c.Status == status.CreatePending:
		return s.activate(ctx, c.Meta())
	case c.LatestUpdate.Pending():
		return s.applyCampaignUpdate(ctx, c)
	case s.outdated(c):
		return s.moveToNewest(ctx, c)
	}
	return nil
}

// applyCampaignUpdate makes the campaign what its update says, or fails the update if its version is no longer there.
func (s *Service) applyCampaignUpdate(ctx context.Context, c *catalog.Campaign) error {
	wanted := c.LatestUpdate.SolutionVersionARN
	err := s.mayServe(ctx, c, wanted)
	if err != nil && !errors.Is(err, errCannotServe) {
		return err
	}
	_, updateErr := s.store.Campaigns.Update(ctx, c.ARN, func(current *catalog.Campaign) error {
		u := current.LatestUpdate
		if !u.Pending() || current.ID != c.ID || u.SolutionVersionARN != wanted {
			return errOvertaken
		}
		u.UpdatedAt = time.Now().UTC()
		if err != nil {
			u.Status, u.FailureReason = status.CreateFailed, err.Error()
			return nil
		}
		u.Status = status.Active
		current.Status, current.FailureReason = status.Active, ""
		current.SolutionVersionARN, current.MinProvisionedTPS, current.Config = u.SolutionVersionARN, u.MinProvisionedTPS, u.Config
		current.Parents = []string{current.DatasetGroupARN, resource.SolutionARN(u.SolutionVersionARN)}
		return nil
	})
	return unlessOvertaken(updateErr)
}

// errCannotServe is the reason that a client sees in a failed update.
var errCannotServe = errors.New("the solution version cannot serve")

// mayServe checks a version, after it made sure that its solution cannot be deleted under the campaign.
func (s *Service) mayServe(ctx context.Context, c *catalog.Campaign, versionARN string) error {
	err := s.store.Attach(ctx, c.Meta(), catalog.Under(resource.SolutionARN(versionARN), mustBeActiveSolution))
	if err == nil {
		var version *catalog.SolutionVersion
		if version, err = s.store.SolutionVersions.Get(ctx, versionARN); err == nil {
			err = mustBeActive(version)
		}
	}
	if err = inAWSTerms(err); isRefusal(err) {
		return fmt.Errorf("%w: %s", errCannotServe, versionARN)
	}
	return err
}

// moveToNewest lets a campaign that follows its solution serve the newest version.
func (s *Service) moveToNewest(ctx context.Context, c *catalog.Campaign) error {
	newest := s.newestSeen(resource.SolutionARN(c.SolutionVersionARN))
	_, err := s.store.Campaigns.Update(ctx, c.ARN, func(current *catalog.Campaign) error {
		if newest == nil || !s.outdated(current) || current.ID != c.ID {
			return errOvertaken
		}
		current.SolutionVersionARN = newest.ARN
		return nil
	})
	return unlessOvertaken(err)
}

// attachTo reserves a solution for a campaign that is to serve one of its versions.
func (s *Service) attachTo(ctx context.Context, c *catalog.Campaign, solutionARN string) error {
	if slices.Contains(c.Parents, solutionARN) {
		return nil
	}
	return s.store.Attach(ctx, c.Meta(), catalog.Under(solutionARN, mustBeActiveSolution))
}

func addParent(c *catalog.Campaign, arn string) {
	if !slices.Contains(c.Parents, arn) {
		c.Parents = append(c.Parents, arn)
	}
}

// publishJob announces a job on penchant.jobs.
func (s *Service) publishJob(ctx context.Context, arn string) error {
	value, err := proto.Marshal(&penchantv1.JobReady{Arn: arn})
	if err != nil {
		return fmt.Errorf("encoding a job's announcement: %w", err)
	}
	return s.bus.Publish(ctx, bus.Record{
		Topic: bus.JobsTopic, Key: []byte(arn), Value: value,
		Headers: []bus.Header{
			{Key: "content-type", Value: []byte("application/x-protobuf")},
			{Key: "ce_type", Value: []byte("penchant.v1.JobReady")},
		},
	})
}
