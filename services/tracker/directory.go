package tracker

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
)

// catalogDirectory is the Directory over the catalog. It keeps what it found until a resource changes that it may have
// been found by, so that a call costs one look into a map.
type catalogDirectory struct {
	view *catalog.View

	mu sync.RWMutex
	// streams are the found ones, by tracking id or dataset ARN.
	streams map[string]*Stream
	// changes counts what made streams forget: a stream found across a change is not kept.
	changes int
}

func newCatalogDirectory(view *catalog.View) *catalogDirectory {
	d := &catalogDirectory{view: view, streams: map[string]*Stream{}}
	// The directory lives as long as the view.
	view.Subscribe(d.changed)
	return d
}

func (d *catalogDirectory) changed(arn string) {
	switch resource.TypeOf(arn) {
	case resource.DatasetGroup, resource.Dataset, resource.Schema, resource.EventTracker:
		d.mu.Lock()
		defer d.mu.Unlock()
		clear(d.streams)
		d.changes++
	}
}

// Ready returns nil once the view has read the catalog.
func (d *catalogDirectory) Ready() error {
	if !d.view.Ready() {
		return errors.New("the catalog has not been read yet")
	}
	return nil
}

// Interactions finds the destination of a tracker's events.
func (d *catalogDirectory) Interactions(ctx context.Context, trackingID string) (*Stream, error) {
	return d.remembered(trackingID, func() (*Stream, error) { return d.interactions(ctx, trackingID) })
}

// ActionInteractions finds the destination of the interactions of the dataset that has a tracking id.
func (d *catalogDirectory) ActionInteractions(ctx context.Context, trackingID string) (*Stream, error) {
	// A dataset's tracking id is never an event tracker's, but clients may confuse them.
	return d.remembered("actions "+trackingID, func() (*Stream, error) { return d.actionInteractions(ctx, trackingID) })
}

// Entities finds the destination of a dataset's items, users or actions.
func (d *catalogDirectory) Entities(ctx context.Context, datasetARN string, t schema.Type) (*Stream, error) {
	stream, err := d.remembered(datasetARN, func() (*Stream, error) { return d.entities(ctx, datasetARN) })
	if err != nil {
		return nil, err
	}
	if stream.Schema.Type != t {
		return nil, awsapi.InvalidInput("The dataset %s is not of type %s.", datasetARN, t)
	}
	return stream, nil
}

// remembered returns what is kept under the key, or else what search finds.
func (d *catalogDirectory) remembered(key string, search func() (*Stream, error)) (*Stream, error) {
	d.mu.RLock()
	stream, changes := d.streams[key], d.changes
	d.mu.RUnlock()
	if stream != nil {
		return stream, nil
	}
	stream, err := search()
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.changes == changes {
		d.streams[key] = stream
	}
	return stream, nil
}

func (d *catalogDirectory) interactions(ctx context.Context, trackingID string) (*Stream, error) {
	known, ok, err := d.view.TrackerByID(ctx, trackingID)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errUnknownTracker
	}
	tracker, ok, err := settled[*catalog.EventTracker](ctx, d.view, known.ARN)
	switch {
	case err != nil:
		return nil, err
	case !ok || tracker.Deleting():
		return nil, errUnknownTracker
	case tracker.Status != status.Active:
		return nil, awsapi.ResourceInUse("The event tracker %s is in state %s.", tracker.ARN, tracker.Status)
	}
	group, err := resource.ParseARN(tracker.DatasetGroupARN)
	if err != nil {
		return nil, fmt.Errorf("reading the event tracker %s: %w", tracker.ARN, err)
	}
	datasetARN := group.With(resource.Dataset, group.ID+"/"+schema.Interactions.DatasetType()).String()
	dataset, ok, err := settled[*catalog.Dataset](ctx, d.view, datasetARN)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, awsapi.InvalidInput("The dataset group %s has no Interactions dataset.", tracker.DatasetGroupARN)
	}
	return d.stream(ctx, dataset, tracker.ARN)
}

var errUnknownTracker = refusal{"unknown_tracker",
	awsapi.InvalidInput("The tracking id is not that of an event tracker.")}

func (d *catalogDirectory) actionInteractions(ctx context.Context, trackingID string) (*Stream, error) {
	known, ok, err := d.view.DatasetByTrackingID(ctx, trackingID)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errUnknownDataset
	}
	dataset, ok, err := settled[*catalog.Dataset](ctx, d.view, known.ARN)
	switch {
	case err != nil:
		return nil, err
	case !ok || dataset.TrackingID != trackingID:
		return nil, errUnknownDataset
	}
	return d.stream(ctx, dataset, dataset.ARN)
}

var errUnknownDataset = refusal{"unknown_tracker",
	awsapi.ResourceNotFound("The tracking id is not that of an Action_Interactions dataset.")}

func (d *catalogDirectory) entities(ctx context.Context, datasetARN string) (*Stream, error) {
	if resource.TypeOf(datasetARN) != resource.Dataset {
		return nil, awsapi.InvalidInput("%s is not the ARN of a dataset.", datasetARN)
	}
	dataset, ok, err := settled[*catalog.Dataset](ctx, d.view, datasetARN)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, awsapi.ResourceNotFound("Could not find the dataset %s.", datasetARN)
	}
	return d.stream(ctx, dataset, dataset.ARN)
}

// stream is the destination of a dataset's records.
func (d *catalogDirectory) stream(ctx context.Context, dataset *catalog.Dataset, source string) (*Stream, error) {
	if dataset.Status != status.Active {
		return nil, awsapi.ResourceInUse("The dataset %s is in state %s.", dataset.ARN, dataset.Status)
	}
	group, ok, err := settled[*catalog.DatasetGroup](ctx, d.view, dataset.DatasetGroupARN)
	if err != nil || !ok {
		return nil, missing(dataset.DatasetGroupARN, err)
	}
	document, ok, err := find[*catalog.Schema](ctx, d.view, dataset.SchemaARN,
		func(*catalog.Schema) bool { return true })
	if err != nil || !ok {
		return nil, missing(dataset.SchemaARN, err)
	}
	parsed, err := schema.Parse(document.Document, document.Domain)
	if err != nil {
		return nil, fmt.Errorf("parsing the schema %s: %w", document.ARN, err)
	}
	return &Stream{Topic: parsed.Type.Topic(group.GroupKey()), Source: source, Schema: parsed}, nil
}

func missing(arn string, err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("%s is not in the catalog, though another resource needs it", arn)
}

// settled finds a resource and prefers to find it ACTIVE.
func settled[R catalog.Resource](ctx context.Context, view *catalog.View, arn string) (R, bool, error) {
	return find(ctx, view, arn, func(r R) bool { return r.Meta().Status == status.Active })
}

// find finds a resource. One that the view does not know, or knows in a state that would refuse the call, is read once
// more: the view may be a moment behind what the client has already seen.
func find[R catalog.Resource](ctx context.Context, view *catalog.View, arn string, good func(R) bool) (R, bool, error) {
	if r, ok := catalog.Lookup[R](view, arn); ok && good(r) {
		return r, true, nil
	}
	err := view.Fetch(ctx, arn)
	if err != nil && !errors.Is(err, catalog.ErrNotFound) && !errors.Is(err, resource.ErrBadARN) {
		return *new(R), false, fmt.Errorf("looking for %s: %w", arn, err)
	}
	r, ok := catalog.Lookup[R](view, arn)
	return r, ok, nil
}
