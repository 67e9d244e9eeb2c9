// Package evaluate runs recipes offline, with the code that trains and scores in the services, so that any protocol can
// measure them: what they may learn from, whom they recommend to and what the histories are is all in files. Its caller
// is `penchant evaluate`.
package evaluate

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// Command is the command's flags. Run carries it out.
type Command struct {
	Train           string            `required:"" type:"existingfile" placeholder:"FILE" help:"Interactions to learn from: CSV with Personalize's column names, plain or gzip."`
	Input           string            `required:"" type:"existingfile" placeholder:"FILE" help:"Histories of the users who get recommendations, in the same form."`
	Items           string            `type:"existingfile" placeholder:"FILE" help:"Items dataset; items known only from here can be ranked, too."`
	Users           string            `type:"existingfile" placeholder:"FILE" help:"Users dataset; users without a history in --input get the recommendations of a cold user, by these attributes."`
	Candidates      string            `type:"existingfile" placeholder:"FILE" help:"Item ids, one a line: what may be ranked. Default: everything."`
	Recipe          string            `required:"" xor:"trained" placeholder:"NAME" help:"Recipe, such as aws-user-personalization."`
	Component       string            `required:"" xor:"trained" placeholder:"NAME" help:"Instead of a recipe, an algorithm that recipes are made of, alone: ials."`
	Hyperparameters map[string]string `mapsep:"," placeholder:"K=V,…" help:"Hyperparameters other than the defaults. Of ials: factors, epochs, steps, window, decay, unobserved, regularization."`
	Seed            int64             `default:"1" help:"Seed of the training."`
	Threads         int               `placeholder:"N" help:"Goroutines of the training, which do not change its result. Default: one per CPU."`
	Top             int               `default:"100" help:"Length of the lists."`
	Out             string            `required:"" placeholder:"FILE" help:"Result: user, tab, item ids separated by spaces, best first, without the user's own history."`
	Stats           string            `placeholder:"FILE" help:"Write the counts of what was learned from and the times as JSON."`
}

// stats is what --stats writes. CPU seconds are of all threads, in user and kernel mode.
type stats struct {
	Interactions     int     `json:"interactions"`
	Users            int     `json:"users"`
	Items            int     `json:"items"`
	TrainSeconds     float64 `json:"trainSeconds"`
	TrainCPUSeconds  float64 `json:"trainCPUSeconds"`
	Visitors         int     `json:"visitors"`
	RecommendSeconds float64 `json:"recommendSeconds"`
}

// Run trains, recommends and writes the lists.
func (c Command) Run(ctx context.Context) error {
	e, err := c.evaluable()
	if err != nil {
		return err
	}
	if c.Top < 1 {
		return errors.New("--top must be positive")
	}
	ts, err := c.trainingSet()
	if err != nil {
		return fmt.Errorf("reading what to learn from: %w", err)
	}
	visitors, err := c.visitors()
	if err != nil {
		return fmt.Errorf("reading histories: %w", err)
	}
	counts := stats{Interactions: ts.Events(), Users: len(ts.Users), Items: len(ts.Items), Visitors: len(visitors)}
	started, spent := time.Now(), cpuSeconds()
	m, err := e.train(ctx, ts, recipe.Options{Seed: c.Seed, Threads: c.Threads})
	if err != nil {
		return fmt.Errorf("training: %w", err)
	}
	counts.TrainSeconds, counts.TrainCPUSeconds = time.Since(started).Seconds(), cpuSeconds()-spent
	started = time.Now()
	lists, err := c.recommend(ctx, e, m, visitors)
	if err != nil {
		return fmt.Errorf("recommending: %w", err)
	}
	counts.RecommendSeconds = time.Since(started).Seconds()
	if err := c.write(m.Items(), visitors, lists); err != nil {
		return fmt.Errorf("writing the lists: %w", err)
	}
	if err := c.writeStats(counts); err != nil {
		return fmt.Errorf("writing the statistics: %w", err)
	}
	fmt.Fprintf(os.Stderr, "%s: trained on %d interactions of %d users with %d items in %.3gs, recommended to %d users in %.3gs\n", e.name,
		counts.Interactions, counts.Users, counts.Items, counts.TrainSeconds, counts.Visitors, counts.RecommendSeconds)
	return nil
}

func (c Command) writeStats(counts stats) error {
	if c.Stats == "" {
		return nil
	}
	text, err := json.MarshalIndent(counts, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(c.Stats, append(text, '\n'), 0o666)
}

// cpuSeconds returns the CPU time of this process.
func cpuSeconds() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}

func (c Command) evaluable() (evaluable, error) {
	if c.Component != "" {
		return findComponent(c.Component, c.Hyperparameters)
	}
	return findRecipe(c.Recipe, c.Hyperparameters)
}

func (c Command) trainingSet() (*trainingset.Set, error) {
	b := trainingset.NewBuilder(trainingset.Options{})
	for i, err := range dataset.ReadInteractionsCSV(c.Train) {
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Train, err)
		}
		b.Add(&i)
	}
	if c.Items != "" {
		for e, err := range dataset.ReadItemsCSV(c.Items) {
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.Items, err)
			}
			b.AddItem(e)
		}
	}
	if c.Users != "" {
		for e, err := range dataset.ReadUsersCSV(c.Users) {
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.Users, err)
			}
			b.AddUser(e)
		}
	}
	return b.Build()
}

// evaluated is a user who gets recommendations.
type evaluated struct {
	id      string
	history []reco.RecentInteraction // oldest first
	user    map[string]any           // from --users
}

// visitors reads the users of --input in the order of their first rows, then those whom only --users knows.
func (c Command) visitors() ([]evaluated, error) {
	var (
		all    []evaluated
		number = map[string]int{}
	)
	find := func(id string) *evaluated {
		n, known := number[id]
		if !known {
			n = len(all)
			number[id] = n
			all = append(all, evaluated{id: id})
		}
		return &all[n]
	}
	for i, err := range dataset.ReadInteractionsCSV(c.Input) {
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Input, err)
		}
		v := find(i.Key())
		v.history = append(v.history, i.Recent())
	}
	for _, v := range all {
		slices.SortFunc(v.history, reco.CompareRecent)
	}
	if c.Users != "" {
		for e, err := range dataset.ReadUsersCSV(c.Users) {
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.Users, err)
			}
			find(e.ID).user = e.Properties
		}
	}
	return all, nil
}

func (c Command) recommend(ctx context.Context, e evaluable, m model.Model, visitors []evaluated) ([][]int32, error) {
	outside, err := c.outside(m.Items())
	if err != nil {
		return nil, err
	}
	var (
		lists  = make([][]int32, len(visitors))
		failed = make([]error, len(visitors))
		memory = make([][]float32, model.Threads(0))
	)
	err = model.Blocks(ctx, len(visitors), 1, len(memory), func(worker, k, _ int) {
		if memory[worker] == nil {
			memory[worker] = make([]float32, m.Items().Len())
		}
		lists[k], failed[k] = c.list(e, m, visitors[k], memory[worker], outside)
	})
	return lists, errors.Join(append(failed, err)...)
}

// list ranks for one user. What answers for an item is asked for what goes with the last one of the history.
func (c Command) list(e evaluable, m model.Model, visitor evaluated, scores []float32, outside func(int) bool) ([]int32,
	error) {
	q := model.Query{History: visitor.history, User: visitor.user}
	if e.related && len(q.History) > 0 {
		q.ItemID = q.History[len(q.History)-1].ItemID
	}
	if err := m.Score(q, scores); err != nil {
		return nil, err
	}
	for _, h := range q.History {
		if i, ok := m.Items().Index(h.ItemID); ok {
			scores[i] = model.Never
		}
	}
	return model.TopK(scores, c.Top, outside), nil
}

// outside returns a function that reports whether --candidates leaves an item out; nil without such a file.
func (c Command) outside(items *model.Items) (func(int) bool, error) {
	if c.Candidates == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.Candidates)
	if err != nil {
		return nil, fmt.Errorf("reading candidates: %w", err)
	}
	candidate := make([]bool, items.Len())
	for id := range strings.Lines(string(text)) {
		if i, ok := items.Index(strings.TrimRight(id, "\r\n")); ok {
			candidate[i] = true
		}
	}
	return func(i int) bool { return !candidate[i] }, nil
}

func (c Command) write(items *model.Items, visitors []evaluated, lists [][]int32) error {
	file, err := os.Create(c.Out)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(file)
	var line []byte
	for k, v := range visitors {
		line = append(append(line[:0], v.id...), '\t')
		for p, i := range lists[k] {
			if p > 0 {
				line = append(line, ' ')
			}
			line = append(line, items.ID(int(i))...)
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	return errors.Join(out.Flush(), file.Close())
}
