package datadoctor

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// Files are local CSV files, plain or gzip, with Personalize's column names; "" where there are no items or users.
type Files struct{ Interactions, Items, Users string }

// Examine reads the files and reports on them. What an import would refuse is a finding; the error is for files that
// cannot be read.
func (f Files) Examine(o Options) (*Report, error) {
	e := NewExaminer(o)
	for _, part := range []struct {
		path string
		kind schema.Type
		read func(path string) error
	}{
		{f.Items, schema.Items, func(path string) error { return e.entitiesFile(path, schema.Items) }},
		{f.Users, schema.Users, func(path string) error { return e.entitiesFile(path, schema.Users) }},
		{f.Interactions, schema.Interactions, e.interactionsFile},
	} {
		if part.path == "" {
			continue
		}
		if err := part.read(part.path); err != nil {
			reason, refused := dataset.Reason(err)
			if !refused {
				return nil, err
			}
			e.Refused(part.kind, reason)
		}
	}
	return e.Report(), nil
}

func (e *Examiner) interactionsFile(path string) error {
	for i, err := range dataset.CheckInteractionsCSV(path,
		func(row *dataset.RowError) { e.Invalid(schema.Interactions, row) }) {
		if err != nil {
			return err
		}
		e.Interaction(&i)
	}
	return nil
}

func (e *Examiner) entitiesFile(path string, t schema.Type) error {
	for row, err := range dataset.CheckEntitiesCSV(path, t, func(row *dataset.RowError) { e.Invalid(t, row) }) {
		if err != nil {
			return err
		}
		e.Entity(t, &row)
	}
	return nil
}

// Group is the data of a dataset group: what was imported, and what its archive has received.
type Group struct {
	Catalog *catalog.Store
	Bucket  *blob.Bucket
	Group   *catalog.DatasetGroup
	// Rows bounds what is read of each dataset; 0: everything.
	Rows int64
}

// Examine reads the group's data and reports on them.
func (g Group) Examine(ctx context.Context, o Options) (*Report, error) {
	o.Domain = g.Group.Domain
	var err error
	if o.Schemas, err = g.schemas(ctx); err != nil {
		return nil, err
	}
	e := NewExaminer(o)
	for t := range o.Schemas {
		if err := g.examine(ctx, e, t); err != nil {
			return nil, fmt.Errorf("examining the %s of %s: %w", t.DatasetType(), g.Group.Name, err)
		}
	}
	return e.Report(), nil
}

// schemas returns the schemas of the group's datasets.
func (g Group) schemas(ctx context.Context) (map[schema.Type]*schema.Schema, error) {
	datasets, err := g.Catalog.Datasets.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the datasets: %w", err)
	}
	schemas := map[schema.Type]*schema.Schema{}
	for _, d := range datasets {
		if d.DatasetGroupARN != g.Group.ARN {
			continue
		}
		document, err := g.Catalog.Schemas.Get(ctx, d.SchemaARN)
		if err != nil {
			return nil, fmt.Errorf("reading schema %s: %w", d.SchemaARN, err)
		}
		s, err := schema.Parse(document.Document, document.Domain)
		if err != nil {
			return nil, fmt.Errorf("parsing schema %s: %w", d.SchemaARN, err)
		}
		schemas[s.Type] = s
	}
	return schemas, nil
}

func (g Group) examine(ctx context.Context, e *Examiner, t schema.Type) error {
	key := g.Group.GroupKey()
	v, err := dataset.Current(ctx, g.Bucket, key, t.DatasetType())
	if err != nil && !errors.Is(err, dataset.ErrNoData) {
		return err
	}
	left := g.Rows
	switch t {
	case schema.Interactions, schema.ActionInteractions:
		add := e.Interaction
		if t == schema.ActionInteractions {
			add = e.ActionInteraction
		} else {
			for _, p := range v.Parts {
				e.Dropped(p.Repeats)
			}
		}
		if err = take(e, t, &left, dataset.Interactions(ctx, g.Bucket, v), add); err == nil {
			err = take(e, t, &left, archive.ReadInteractions(ctx, g.Bucket, key, t, archive.ReadOptions{}), add)
		}
		return err
	default:
		add := func(row *reco.Entity) { e.Entity(t, row) }
		imported := int64(0)
		for _, p := range v.Parts {
			if p.Version != imported {
				imported = p.Version
				e.NextImport(t)
			}
			if err := take(e, t, &left, dataset.Entities(ctx, g.Bucket, dataset.Version{Parts: []dataset.Part{p}}),
				add); err != nil {
				return err
			}
		}
		for row, err := range undamaged(archive.ReadEntities(ctx, g.Bucket, key, t)) {
			if err != nil {
				return err
			}
			e.NextImport(t) // whatever is put replaces what was there
			if !within(e, t, &left) {
				return nil
			}
			add(&row)
		}
		return nil
	}
}

// take passes rows to an examiner, as many as are left.
func take[T any](e *Examiner, t schema.Type, left *int64, rows iter.Seq2[T, error], add func(*T)) error {
	for row, err := range undamaged(rows) {
		if err != nil {
			return err
		}
		if !within(e, t, left) {
			return nil
		}
		add(&row)
	}
	return nil
}

// within reports whether another row may be read. A bound of 0 is none, and an exhausted one is negative.
func within(e *Examiner, t schema.Type, left *int64) bool {
	switch {
	case *left < 0:
		e.Cut(t)
		return false
	case *left == 1:
		*left = -1
	case *left > 1:
		*left--
	}
	return true
}

// undamaged skips objects of the archive that cannot be decoded, as trainings do.
func undamaged[T any](rows iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for row, err := range rows {
			if errors.As(err, new(*archive.CorruptError)) {
				continue
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}
