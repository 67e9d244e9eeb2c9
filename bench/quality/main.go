// Command quality measures every recipe on every set of ../shared/data, by the protocols of ../shared/eval: P1 the next
// item of each user, P2 Personalize's own split, P3 cold items. Each case is a process of its own, `penchant evaluate`,
// so that CPU time and peak memory are those of one training. The splits and the metrics are those of make_split.py and
// evaluate.py, which are called, not repeated here. Its Markdown tables stand in docs/benchmarks.md; after each come
// the goals and what others reach (anchors.go).
//
//	go run ./bench/quality                                                   # everything: hours on two cores
//	go run ./bench/quality -sets ml-1m -protocols p1 -recipes aws-user-personalization,aws-hrnn
//	go run ./bench/quality -sets ml-1m -protocols p1 -recipes '' -component ials -implicit bench/results/venv/bin/python
//
//	go run ./bench/quality -tables                                           # those of all that was measured before
//
// Where ../shared is absent it says so and does nothing. Splits, lists and results are kept under bench/results,
// results as one JSON object a line.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/penchant-io/penchant/pkg/recipe"
)

type options struct {
	shared, out, binary, python     string
	sets, protocols, recipes        string
	component, settings, implicitIn string
	seed, threads, rounds           int
	check, tables                   bool
}

func main() {
	var o options
	flag.StringVar(&o.shared, "shared", "../shared", "folder that holds data/ and eval/")
	flag.StringVar(&o.out, "out", "bench/results/quality", "folder for splits, lists and results")
	flag.StringVar(&o.binary, "binary", "", "penchant binary; built if empty")
	flag.StringVar(&o.python, "python", "", "Python 3 with numpy; that of bench/results/venv or python3 if empty")
	flag.StringVar(
		&o.sets, "sets", "ml-1m,toys,retail", "sets to measure on; scale, which is generated, can be named too",
	)
	flag.StringVar(&o.protocols, "protocols", "p1,p2,p3", "protocols to measure by")
	flag.StringVar(&o.recipes, "recipes", strings.Join(recipes(), ","), "recipes to measure; empty for none")
	flag.StringVar(&o.component, "component", "", "also train this component alone: ials")
	flag.StringVar(&o.settings, "settings", "factors=64,epochs=15", "settings of the component")
	flag.StringVar(
		&o.implicitIn, "implicit", "",
		"with -component ials: Python with requirements.txt, to time the library `implicit` side by side with as "+
			"many threads",
	)
	flag.IntVar(&o.rounds, "rounds", 3, "with -implicit: trainings of each, in turns")
	flag.IntVar(&o.seed, "seed", 1, "seed of the trainings")
	flag.IntVar(&o.threads, "threads", runtime.NumCPU(), "threads of a training")
	flag.BoolVar(&o.check, "check", false, "exit with 1 if a goal that must be reached is not")
	flag.BoolVar(&o.tables, "tables", false, "measure nothing: print the tables of the newest results that are kept")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	missed, err := run(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "quality:", err)
		os.Exit(2)
	}
	if missed && o.check {
		os.Exit(1)
	}
}

// recipes are those that `penchant evaluate` takes.
func recipes() []string {
	var names []string
	for _, r := range recipe.All() {
		if r.Domain == "" && r.Type != recipe.UserSegmentation && r.Type != recipe.PersonalizedActions {
			names = append(names, r.Name)
		}
	}
	return names
}

func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
}

func run(ctx context.Context, o options) (missed bool, err error) {
	if o.tables {
		return o.kept()
	}
	if _, err := os.Stat(filepath.Join(o.shared, "eval", "make_split.py")); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(
			os.Stderr,
			"skipped: there is no %s with the research data, whose licences keep it out of this repository\n", o.shared,
		)
		return false, nil
	}
	if err := os.MkdirAll(o.out, 0o777); err != nil {
		return false, err
	}
	if o.python, err = findPython(ctx, o.python); err != nil {
		return false, err
	}
	if o.binary == "" {
		o.binary = filepath.Join(o.out, "penchant")
		if _, err := output(
			exec.CommandContext(ctx, "go", "build", "-o", o.binary, "./services/penchant"),
		); err != nil {
			return false, fmt.Errorf("building penchant: %w", err)
		}
	}
	for _, set := range list(o.sets) {
		for _, protocol := range list(o.protocols) {
			if columns[protocol] == nil {
				return false, fmt.Errorf("%q is no protocol: there are p1, p2 and p3", protocol)
			}
			s, err := o.split(ctx, set, protocol)
			if err != nil {
				return false, fmt.Errorf("splitting %s by %s: %w", set, protocol, err)
			}
			if protocol == "p3" && s.items == "" {
				fmt.Printf(
					"### %s, P3\n\nSkipped: nothing is known about cold items without an Items dataset.\n\n", set,
				)
				continue
			}
			results, err := o.measure(ctx, s)
			fmt.Print(page(s, results))
			if err != nil {
				return false, err
			}
			missed = missed || misses(results)
		}
	}
	return missed, nil
}

// findPython prefers the one that has what requirements.txt names.
func findPython(ctx context.Context, given string) (string, error) {
	tried := []string{given}
	if given == "" {
		tried = []string{"bench/results/venv/bin/python", "python3"}
	}
	for _, python := range tried {
		if exec.CommandContext(ctx, python, "-c", "import numpy").Run() == nil {
			return python, nil
		}
	}
	return "", fmt.Errorf(
		"evaluate.py needs numpy, which %s doesn't have: make a virtual environment with it and name its python by "+
			"-python",
		strings.Join(tried, " and "),
	)
}

// split is a set, cut by a protocol.
type split struct {
	set, protocol, folder string
	items, users          string // files of the set, "" where it has none
}

// split makes the files of a split, unless an earlier run has.
func (o options) split(ctx context.Context, set, protocol string) (split, error) {
	s := split{set: set, protocol: protocol, folder: filepath.Join(o.out, "splits", set+"-"+protocol)}
	data := filepath.Join(o.shared, "data")
	for name, file := range map[string]*string{"items.csv.gz": &s.items, "users.csv.gz": &s.users} {
		if path := filepath.Join(data, set, name); exists(path) {
			*file = path
		}
	}
	if exists(s.folder) {
		return s, nil
	}
	interactions := filepath.Join(data, set, "interactions.csv.gz")
	if set == "scale" {
		interactions = filepath.Join(o.out, "scale.csv.gz")
		if !exists(interactions) {
			generate := exec.CommandContext(
				ctx, o.python, filepath.Join(data, "gen_scale.py"), filepath.Join(data, "ml-1m", "interactions.csv.gz"),
				interactions+".new",
			)
			if _, err := output(generate); err != nil {
				return s, err
			}
			if err := os.Rename(interactions+".new", interactions); err != nil {
				return s, err
			}
		}
	}
	// A split is made under another name first: one that was not finished is not taken for one that was.
	unfinished := s.folder + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return s, err
	}
	if _, err := output(exec.CommandContext(
		ctx, o.python, filepath.Join(o.shared, "eval", "make_split.py"), protocol, interactions, unfinished,
	)); err != nil {
		return s, err
	}
	return s, os.Rename(unfinished, s.folder)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// trainable is what a case trains, with the arguments that say so.
type trainable struct {
	name      string
	arguments []string
}

// measure runs the cases of a split one after the other, so that they don't take each other's CPUs. One that fails is a
// result, too.
func (o options) measure(ctx context.Context, s split) ([]result, error) {
	var trained []trainable
	for _, r := range list(o.recipes) {
		trained = append(trained, trainable{r, []string{"--recipe", r}})
	}
	if o.component != "" {
		trained = append(
			trained, trainable{o.component, []string{"--component", o.component, "--hyperparameters", o.settings}},
		)
	}
	var results []result
	for _, t := range trained {
		r, err := o.evaluate(ctx, s, t)
		if ctx.Err() != nil {
			return results, ctx.Err()
		}
		if err != nil {
			r.Failed = err.Error()
		}
		results = append(results, r)
		if err := o.keep(r); err != nil {
			return results, err
		}
		fmt.Fprintln(os.Stderr, r.line())
	}
	if o.component == "ials" && o.implicitIn != "" {
		compared, err := o.implicit(ctx, s)
		if err != nil {
			return results, fmt.Errorf("comparing with implicit: %w", err)
		}
		results = append(results, compared...)
	}
	return results, nil
}

// result is one case.
type result struct {
	Set      string `json:"set"`
	Protocol string `json:"protocol"`
	Trained  string `json:"trained"`
	Seed     int    `json:"seed"`
	Threads  int    `json:"threads"`
	// Metrics are those of evaluate.py; Users is how many test users they are means over.
	Metrics map[string]float64 `json:"metrics"`
	Users   int                `json:"users"`
	// CPUSeconds and PeakBytes are of the whole command: reading, training, recommending, writing.
	CPUSeconds float64 `json:"cpuSeconds"`
	PeakBytes  int64   `json:"peakBytes"`
	// TrainSeconds passed while it trained, TrainCPUSeconds are what the training took of all CPUs.
	TrainSeconds    float64 `json:"trainSeconds"`
	TrainCPUSeconds float64 `json:"trainCPUSeconds"`
	Failed          string  `json:"failed,omitempty"`
}

// of is the value of a metric, or of what the command took.
func (r result) of(metric string) (float64, bool) {
	switch metric {
	case cpu:
		return r.CPUSeconds, r.CPUSeconds > 0
	case memory:
		return float64(r.PeakBytes) / (1 << 30), r.PeakBytes > 0
	}
	v, ok := r.Metrics[metric]
	return v, ok
}

func (o options) evaluate(ctx context.Context, s split, t trainable) (result, error) {
	r := result{Set: s.set, Protocol: s.protocol, Trained: t.name, Seed: o.seed, Threads: o.threads}
	lists, stats := s.folder+"-"+t.name+".tsv", s.folder+"-"+t.name+".json"
	args := append([]string{
		"evaluate", "--train", filepath.Join(s.folder, "train.csv.gz"), "--input",
		filepath.Join(s.folder, "input.csv.gz"),
		"--candidates", filepath.Join(s.folder, "candidates.txt"), "--seed", strconv.Itoa(o.seed), "--threads",
		strconv.Itoa(o.threads),
		"--top", "100", "--out", lists, "--stats", stats,
	}, t.arguments...)
	if s.items != "" {
		args = append(args, "--items", s.items)
	}
	if s.users != "" {
		args = append(args, "--users", s.users)
	}
	command := exec.CommandContext(ctx, o.binary, args...)
	if _, err := output(command); err != nil {
		return r, err
	}
	r.CPUSeconds = (command.ProcessState.UserTime() + command.ProcessState.SystemTime()).Seconds()
	r.PeakBytes = peakBytes(command.ProcessState)
	text, err := os.ReadFile(stats)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil { // the times; its counts have no place here
		return r, err
	}
	return r, o.score(ctx, s, lists, &r)
}

// score has evaluate.py judge the lists.
func (o options) score(ctx context.Context, s split, lists string, r *result) error {
	text, err := output(exec.CommandContext(
		ctx, o.python, filepath.Join(o.shared, "eval", "evaluate.py"), "--split", s.folder, "--run", lists,
	))
	if err != nil {
		return fmt.Errorf("judging the lists: %w", err)
	}
	if err := json.Unmarshal(text, &r.Metrics); err != nil {
		return fmt.Errorf("judging the lists: %w", err)
	}
	r.Users = int(r.Metrics["users"])
	delete(r.Metrics, "users")
	return nil
}

// implicit trains ials and the library in turns, and gives the fastest training of each: what else the machine does
// only ever adds to a time.
func (o options) implicit(ctx context.Context, s split) ([]result, error) {
	settings := map[string]string{}
	for _, pair := range list(o.settings) {
		key, value, _ := strings.Cut(pair, "=")
		settings[key] = value
	}
	if settings["factors"] == "" || settings["epochs"] == "" {
		return nil, errors.New("-settings must name factors and epochs")
	}
	ours := trainable{"ials", []string{"--component", "ials", "--hyperparameters", o.settings}}
	lists := s.folder + "-implicit.tsv"
	var both [2][]result
	for range o.rounds {
		r, err := o.evaluate(ctx, s, ours)
		if err != nil {
			return nil, err
		}
		r.Trained = "ials, fastest of several"
		both[0] = append(both[0], r)
		theirs := result{
			Set: s.set, Protocol: s.protocol, Trained: "implicit, fastest of several", Seed: o.seed, Threads: o.threads,
		}
		command := exec.CommandContext(ctx, o.implicitIn, "bench/quality/implicit_als.py", s.folder, lists,
			settings["factors"], settings["epochs"], strconv.Itoa(o.threads))
		text, err := output(command)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &theirs); err != nil {
			return nil, err
		}
		theirs.CPUSeconds = (command.ProcessState.UserTime() + command.ProcessState.SystemTime()).Seconds()
		theirs.PeakBytes = peakBytes(command.ProcessState)
		if err := o.score(ctx, s, lists, &theirs); err != nil {
			return nil, err
		}
		both[1] = append(both[1], theirs)
	}
	var fastest []result
	for _, of := range both {
		best := slices.MinFunc(of, func(a, b result) int { return cmp.Compare(a.TrainCPUSeconds, b.TrainCPUSeconds) })
		if err := o.keep(best); err != nil {
			return nil, err
		}
		fastest = append(fastest, best)
	}
	return fastest, nil
}

// keep adds a result to those of earlier runs.
func (o options) keep(r result) (err error) {
	file, err := os.OpenFile(filepath.Join(o.out, "results.jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return json.NewEncoder(file).Encode(r)
}

// kept prints the tables of the newest result of each case that was measured.
func (o options) kept() (missed bool, err error) {
	text, err := os.ReadFile(filepath.Join(o.out, "results.jsonl"))
	if err != nil {
		return false, fmt.Errorf("reading what was measured: %w", err)
	}
	newest := map[string]map[string]result{}
	for line := range bytes.Lines(text) {
		var r result
		if err := json.Unmarshal(line, &r); err != nil {
			return false, fmt.Errorf("reading what was measured: %w", err)
		}
		of := r.Set + " " + r.Protocol
		if newest[of] == nil {
			newest[of] = map[string]result{}
		}
		newest[of][r.Trained] = r
	}
	order := recipes()
	place := func(r result) int { // components come last
		if k := slices.Index(order, r.Trained); k >= 0 {
			return k
		}
		return len(order)
	}
	for _, set := range list(o.sets) {
		for _, protocol := range list(o.protocols) {
			results := slices.SortedFunc(maps.Values(newest[set+" "+protocol]), func(a, b result) int {
				return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a.Trained, b.Trained))
			})
			if len(results) > 0 {
				fmt.Print(page(split{set: set, protocol: protocol}, results))
				missed = missed || misses(results)
			}
		}
	}
	return missed, nil
}

// output runs a command and returns what it prints; with an error comes what it complained about.
func output(command *exec.Cmd) ([]byte, error) {
	var complaints bytes.Buffer
	command.Stderr = &complaints
	text, err := command.Output()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(complaints.String()), "\n")
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(command.Path), err, lines[len(lines)-1])
	}
	return text, nil
}

// peakBytes is the most memory that an ended process had at a time.
func peakBytes(state *os.ProcessState) int64 {
	used, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" { // bytes there, KiB elsewhere
		return used.Maxrss
	}
	return used.Maxrss * 1024
}
