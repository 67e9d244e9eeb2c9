package dataset

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// LoadRequest says which data of a dataset group to train on.
type LoadRequest struct {
	Bucket *blob.Bucket
	Group  string
	// Until is the data cut: events, items, users and actions that arrived later are left out. The zero time leaves out
	// nothing.
	Until time.Time
	// More, if set, adds what the bucket doesn't hold yet. Its items, users and actions replace those of the bucket.
	More func(*trainingset.Builder) error
	trainingset.Options
}

// Loaded is a training set and where it comes from.
type Loaded struct {
	*trainingset.Set
	// Imported holds the number of each dataset's version that was read, by dataset type; types without data are
	// absent.
	Imported map[string]int64
	// Damaged names the archive's objects that could not be decoded. They are left out.
	Damaged []string
}

// Load joins what was imported into a dataset group with what its archive has received. Items and users that were both
// imported and put count as they were last.
//
// An object of the archive that cannot be decoded is left out and named, so that one bad file doesn't end all training;
// damaged imported data is an error, for importing it again mends it.
func Load(ctx context.Context, req LoadRequest) (*Loaded, error) {
	l := &loader{
		LoadRequest: req, builder: trainingset.NewBuilder(req.Options), loaded: Loaded{Imported: map[string]int64{}},
	}
	if err := l.interactions(ctx, schema.Interactions, l.builder.Add); err != nil {
		return nil, fmt.Errorf("loading interactions: %w", err)
	}
	if err := l.interactions(ctx, schema.ActionInteractions, l.builder.AddActionInteraction); err != nil {
		return nil, fmt.Errorf("loading action interactions: %w", err)
	}
	if err := l.entities(ctx, schema.Items); err != nil {
		return nil, fmt.Errorf("loading items: %w", err)
	}
	if err := l.entities(ctx, schema.Users); err != nil {
		return nil, fmt.Errorf("loading users: %w", err)
	}
	if err := l.entities(ctx, schema.Actions); err != nil {
		return nil, fmt.Errorf("loading actions: %w", err)
	}
	if req.More != nil {
		if err := req.More(l.builder); err != nil {
			return nil, fmt.Errorf("loading what is not archived yet: %w", err)
		}
	}
	set, err := l.builder.Build()
	if err != nil {
		return nil, err
	}
	l.loaded.Set = set
	return &l.loaded, nil
}

type loader struct {
	LoadRequest
	builder *trainingset.Builder
	loaded  Loaded
}

// interactions adds what was imported into the dataset of a type and what its archive has received.
func (l *loader) interactions(ctx context.Context, t schema.Type, add func(*reco.Interaction)) error {
	v, err := l.current(ctx, t)
	if err != nil {
		return err
	}
	for i, err := range Interactions(ctx, l.Bucket, v) {
		if err != nil {
			return err
		}
		add(&i)
	}
	for i, err := range tolerate(
		archive.ReadInteractions(ctx, l.Bucket, l.Group, t, archive.ReadOptions{}), &l.loaded.Damaged,
	) {
		if err != nil {
			return err
		}
		if l.arrived(i.Origin) {
			add(&i)
		}
	}
	return nil
}

// current is the imported data of a type, without parts where there is none.
func (l *loader) current(ctx context.Context, t schema.Type) (Version, error) {
	v, err := Current(ctx, l.Bucket, l.Group, t.DatasetType())
	if errors.Is(err, ErrNoData) {
		return Version{}, nil
	}
	if err == nil {
		l.loaded.Imported[t.DatasetType()] = v.Number
	}
	return v, err
}

func (l *loader) arrived(o reco.Origin) bool { return l.Until.IsZero() || !o.Arrival.After(l.Until) }

// entities adds the newest row of every item or user. An imported row counts from the end of its import.
func (l *loader) entities(ctx context.Context, t schema.Type) error {
	v, err := l.current(ctx, t)
	if err != nil {
		return err
	}
	for _, p := range v.Parts {
		for e, err := range Entities(ctx, l.Bucket, Version{Parts: []Part{p}}) {
			if err != nil {
				return err
			}
			l.builder.AddEntity(t, e, p.Imported)
		}
	}
	for e, err := range tolerate(archive.ReadEntities(ctx, l.Bucket, l.Group, t), &l.loaded.Damaged) {
		if err != nil {
			return err
		}
		if l.arrived(e.Origin) {
			l.builder.AddEntity(t, e, e.Origin.Arrival)
		}
	}
	return nil
}

// tolerate passes a sequence of the archive on without its damaged objects, which it names.
func tolerate[T any](rows iter.Seq2[T, error], damaged *[]string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for row, err := range rows {
			var corrupt *archive.CorruptError
			if errors.As(err, &corrupt) {
				if !slices.Contains(*damaged, corrupt.Key) {
					*damaged = append(*damaged, corrupt.Key)
				}
				continue
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}
