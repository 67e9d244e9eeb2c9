package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/penchant-io/penchant/pkg/datadoctor"
	"github.com/penchant-io/penchant/services/penchant/app"
	"github.com/penchant-io/penchant/services/penchant/operator"
)

// The operator's commands. They take the settings of the targets, so that they run in any target's environment; servers
// that are not set are those of the `penchant all` that has the same data folder. Each asks package operator, and
// prints.

// statusCmd shows the installation at one moment.
type statusCmd struct{ operated }

// Run prints the status.
func (c *statusCmd) Run(ctx context.Context) error {
	return c.operate(ctx, func(i *operator.Installation) (result, error) { return present(i.Status(ctx)) })
}

// doctorCmd holds the checks; without a word more the installation's is meant.
type doctorCmd struct {
	Installation doctorInstallationCmd `cmd:"" default:"withargs" help:"Check settings, servers, topics, consumers and the archive, and say how to fix what is wrong."`
	Data         doctorDataCmd         `cmd:"" help:"Say what data can and cannot train, and why: those of a dataset group, or files before they are imported."`
}

// doctorInstallationCmd checks the installation.
type doctorInstallationCmd struct{ operated }

// Run prints the diagnosis.
func (c *doctorInstallationCmd) Run(ctx context.Context) error {
	return c.operate(ctx, func(i *operator.Installation) (result, error) { return present(i.Doctor(ctx)) })
}

// doctorDataCmd examines data.
type doctorDataCmd struct {
	DatasetGroup string `env:"-" required:"" xor:"data" placeholder:"NAME" help:"The dataset group whose data are examined: what was imported, and what was archived."`
	Interactions string `env:"-" required:"" xor:"data" type:"existingfile" placeholder:"FILE" help:"A file of interactions instead: CSV with Personalize's column names, plain or gzip."`
	Items        string `env:"-" type:"existingfile" placeholder:"FILE" help:"With --interactions: the items."`
	Users        string `env:"-" type:"existingfile" placeholder:"FILE" help:"With --interactions: the users."`
	AsOf         moment `env:"-" placeholder:"TIME" help:"What is later lies in the future: 2006-01-02T15:04:05Z, 2006-01-02, or 36h (that long ago). Default: now."`
	Rows         int64  `env:"-" placeholder:"N" help:"With --dataset-group: look at the first N rows of each dataset. Default: at all."`
	FailOn       string `env:"-" enum:"error,warning" default:"error" help:"Exit with 1 for findings of this level or worse: error or warning."`
	operated
}

// Validate refuses flags that do not go together. kong calls it after parsing.
func (c *doctorDataCmd) Validate() error {
	switch {
	case c.DatasetGroup != "" && (c.Items != "" || c.Users != ""):
		return errors.New("--items and --users are files that go with --interactions")
	case c.Interactions != "" && c.Rows != 0:
		return errors.New("--rows goes with --dataset-group")
	case c.Rows < 0:
		return fmt.Errorf("--rows %d: it is above zero", c.Rows)
	}
	return c.Settings.Validate()
}

// Run prints the report.
func (c *doctorDataCmd) Run(ctx context.Context) error {
	options := datadoctor.Options{AsOf: time.Time(c.AsOf), MinInteractions: c.Retrainer.MinInteractions,
		MinUsers: c.Retrainer.MinUsers, KeepExamples: true}
	if c.DatasetGroup != "" {
		return c.operate(ctx, func(i *operator.Installation) (result, error) {
			return present(c.judge(i.ExamineData(ctx, c.DatasetGroup, c.Rows, options)))
		})
	}
	report, err := c.judge(datadoctor.Files{Interactions: c.Interactions, Items: c.Items,
		Users: c.Users}.Examine(options))
	if report == nil {
		return unfinishedError{err}
	}
	return errors.Join(err, c.print(report))
}

// judge makes findings an error.
func (c *doctorDataCmd) judge(r *datadoctor.Report, err error) (*datadoctor.Report, error) {
	if err != nil {
		return nil, err
	}
	if r.Errors > 0 || c.FailOn == "warning" && r.Warnings > 0 {
		return r, fmt.Errorf("%w: %d errors, %d warnings", operator.ErrProblems, r.Errors, r.Warnings)
	}
	return r, nil
}

// topicsCmd holds the commands about topics.
type topicsCmd struct {
	Tail   topicsTailCmd   `cmd:"" help:"Print records as they come, decoded, one JSON object a line."`
	Lag    topicsLagCmd    `cmd:"" help:"Show how far each consumer group is behind in each partition."`
	Create topicsCreateCmd `cmd:"" help:"Create the topics that are missing, after a Kafka cluster was lost or replaced."`
}

// topicsTailCmd follows topics.
type topicsTailCmd struct {
	DatasetGroup  string `env:"-" placeholder:"NAME" help:"Only this dataset group's topics."`
	Topic         string `env:"-" placeholder:"NAME" help:"Only this topic."`
	FromBeginning bool   `env:"-" help:"Print what the topics hold first, not only what comes."`
	NoFollow      bool   `env:"-" help:"End when what the topics hold is printed."`
	Limit         int    `env:"-" short:"n" placeholder:"N" help:"End after N records."`

	app.Settings `group:"Settings, as of the targets:"`
}

// Run prints records until ctx ends.
func (c *topicsTailCmd) Run(ctx context.Context) error {
	return withInstallation(ctx, &c.Settings, func(i *operator.Installation) error {
		return i.Tail(ctx, operator.Tail{
			DatasetGroup: c.DatasetGroup, Topic: c.Topic, FromStart: c.FromBeginning, UntilEnd: c.NoFollow,
			Limit: c.Limit,
		}, os.Stdout)
	})
}

// topicsLagCmd shows lags.
type topicsLagCmd struct {
	Group        string `env:"-" placeholder:"NAME" help:"Only this consumer group."`
	DatasetGroup string `env:"-" placeholder:"NAME" help:"Only this dataset group's topics."`
	Topic        string `env:"-" placeholder:"NAME" help:"Only this topic."`
	MaxLag       int64  `env:"-" default:"-1" placeholder:"N" help:"Exit with 1 if a group is more than N records behind in a partition."`
	operated
}

// Run prints the lags.
func (c *topicsLagCmd) Run(ctx context.Context) error {
	return c.operate(ctx, func(i *operator.Installation) (result, error) {
		lags, err := i.Lag(ctx, operator.LagFilter{ConsumerGroup: c.Group, DatasetGroup: c.DatasetGroup,
			Topic: c.Topic})
		if err == nil && c.MaxLag >= 0 {
			err = lags.Above(c.MaxLag)
		}
		return present(lags, err)
	})
}

// topicsCreateCmd creates missing topics.
type topicsCreateCmd struct{ operated }

// Run creates, and prints what it created.
func (c *topicsCreateCmd) Run(ctx context.Context) error {
	return c.operate(ctx, func(i *operator.Installation) (result, error) { return present(i.CreateTopics(ctx)) })
}

// archiveCmd holds the commands about the archive.
type archiveCmd struct {
	Verify archiveVerifyCmd `cmd:"" help:"Check that the archive has no holes and no overlaps, and that its files can be read."`
	Replay archiveReplayCmd `cmd:"" help:"Fold archived events into user states again, also those of topics that exist no more."`
}

// archiveVerifyCmd checks the archive.
type archiveVerifyCmd struct {
	DatasetGroup string `env:"-" placeholder:"NAME" help:"Only this dataset group: its name, ARN, or the folder under archive/."`
	NamesOnly    bool   `env:"-" help:"Look at names and metadata only, without reading the files."`
	operated
}

// Run prints what it found.
func (c *archiveVerifyCmd) Run(ctx context.Context) error {
	return c.operate(ctx, func(i *operator.Installation) (result, error) {
		return present(i.VerifyArchive(ctx, c.DatasetGroup, c.NamesOnly))
	})
}

// archiveReplayCmd folds the archive into user states.
type archiveReplayCmd struct {
	DatasetGroup string   `env:"-" required:"" placeholder:"NAME" help:"The dataset group: its name or ARN."`
	User         []string `env:"-" sep:"none" placeholder:"ID" help:"Only these users (or sessions). May be repeated."`
	From         moment   `env:"-" placeholder:"TIME" help:"Only events that arrived at this time or later: 2006-01-02T15:04:05Z, 2006-01-02, or 36h (that long ago)."`
	To           moment   `env:"-" placeholder:"TIME" help:"Only events that arrived before this time."`
	TopicID      []string `env:"-" sep:"none" name:"topic-id" placeholder:"HEX" help:"Only events of these topics: the folders under archive/<group>/interactions/. May be repeated."`
	DryRun       bool     `env:"-" help:"Count, and change nothing."`
	operated
}

// Run folds, and prints what it did.
func (c *archiveReplayCmd) Run(ctx context.Context) error {
	return c.operate(ctx, func(i *operator.Installation) (result, error) {
		return present(i.ReplayArchive(ctx, operator.Replay{
			DatasetGroup: c.DatasetGroup, TopicIDs: c.TopicID, Users: c.User, From: time.Time(c.From),
			To: time.Time(c.To), DryRun: c.DryRun,
		}))
	})
}

// dlqCmd holds the commands about dead letters.
type dlqCmd struct {
	List   dlqListCmd   `cmd:"" help:"List the records of a dataset group that could not be handled, and why."`
	Replay dlqReplayCmd `cmd:"" help:"Put them back on the topics they came from, each once."`
}

// dlqListCmd lists dead letters.
type dlqListCmd struct {
	DatasetGroup string `env:"-" required:"" placeholder:"NAME" help:"The dataset group: its name or ARN."`
	operated
}

// Run prints the dead letters.
func (c *dlqListCmd) Run(ctx context.Context) error {
	return c.operate(ctx, func(i *operator.Installation) (result,
		error) {
		return present(i.DeadLetters(ctx, c.DatasetGroup))
	})
}

// dlqReplayCmd puts dead letters back.
type dlqReplayCmd struct {
	DatasetGroup string   `env:"-" required:"" placeholder:"NAME" help:"The dataset group: its name or ARN."`
	Record       []string `env:"-" sep:"none" placeholder:"TOPIC/PARTITION/OFFSET" help:"Only this record, by where it stood. May be repeated."`
	From         moment   `env:"-" placeholder:"TIME" help:"Only records put aside at this time or later: 2006-01-02T15:04:05Z, 2006-01-02, or 36h (that long ago)."`
	To           moment   `env:"-" placeholder:"TIME" help:"Only records put aside before this time."`
	All          bool     `env:"-" help:"Also those that were replayed already."`
	Force        bool     `env:"-" help:"Also those that still cannot be read, and would be put aside again."`
	DryRun       bool     `env:"-" help:"Say what would be done, and change nothing."`
	operated
}

// Run replays, and prints what it did.
func (c *dlqReplayCmd) Run(ctx context.Context) error {
	return c.operate(ctx, func(i *operator.Installation) (result, error) {
		return present(i.ReplayDeadLetters(ctx, operator.LetterReplay{
			DatasetGroup: c.DatasetGroup, Records: c.Record, From: time.Time(c.From), To: time.Time(c.To), All: c.All,
			Force: c.Force, DryRun: c.DryRun,
		}))
	})
}

// reportCmd shows how good a solution version is.
type reportCmd struct {
	Version string `arg:"" name:"solution-version" help:"The solution version's ARN; or a solution's ARN or name, for its newest version."`
	Save    string `env:"-" placeholder:"DIR" help:"Write the report as JSON and its plots as SVG into this folder."`
	operated
}

// Run prints the report.
func (c *reportCmd) Run(ctx context.Context) error {
	return c.operate(ctx, func(i *operator.Installation) (result,
		error) {
		return present(i.Quality(ctx, c.Version, c.Save))
	})
}

// operated has the flags that the operator's commands share.
type operated struct {
	Output       string `env:"-" short:"o" enum:"table,json" default:"table" help:"table for people, json for programs."`
	app.Settings `group:"Settings, as of the targets:"`
}

// result is printed by a command.
type result interface{ Page() string }

// present makes a result of a typed pointer, which may be nil.
func present[R any, P interface {
	*R
	result
}](r P, err error) (result, error) {
	if r == nil {
		return nil, err
	}
	return r, err
}

// operate asks, and prints the answer, also where an error comes with it because the answer is a bad one.
func (c *operated) operate(ctx context.Context, ask func(*operator.Installation) (result, error)) error {
	return withInstallation(ctx, &c.Settings, func(i *operator.Installation) error {
		r, err := ask(i)
		if r == nil {
			return err
		}
		return errors.Join(err, c.print(r))
	})
}

func (c *operated) print(r result) error {
	if c.Output != "json" {
		_, err := io.WriteString(os.Stdout, r.Page())
		return err
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// unfinishedError is why an operator's command could not be carried out.
type unfinishedError struct{ error }

func (e unfinishedError) Unwrap() error { return e.error }

// exitCode is 1 for a check that found problems, and for a target that failed, and 2 for a command line that cannot be
// understood and a command that could not be carried out, like diff and grep.
func exitCode(err error) int {
	if errors.As(err, new(unfinishedError)) {
		return 2
	}
	return 1
}

// withInstallation opens the installation of the settings, or the one that a process with the same data folder is part
// of.
func withInstallation(ctx context.Context, s *app.Settings, do func(*operator.Installation) error) error {
	servers, err := s.FindServers()
	if err != nil {
		return unfinishedError{err}
	}
	i, err := operator.Open(ctx, operator.Config{
		Brokers: servers.Brokers, RedisURL: servers.RedisURL, S3: servers.S3, Bucket: s.Bucket,
		Embedded: servers.Embedded,
		Users:    s.Users, Topics: s.Topics(), DefaultKeys: servers.DefaultKeys,
	})
	if err != nil {
		return unfinishedError{err}
	}
	defer i.Close()
	if err := do(i); err != nil {
		if errors.Is(err, operator.ErrProblems) {
			return err
		}
		return unfinishedError{err}
	}
	return nil
}

// moment is a point in time as operators write it.
type moment time.Time

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *moment) UnmarshalText(text []byte) error {
	if ago, err := time.ParseDuration(string(text)); err == nil {
		*m = moment(time.Now().Add(-ago))
		return nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, string(text)); err == nil {
			*m = moment(at)
			return nil
		}
	}
	return fmt.Errorf("time %q: it is 2006-01-02T15:04:05Z, 2006-01-02, or how long ago, such as 36h", text)
}
