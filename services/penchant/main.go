// Command penchant is Penchant: one binary with a target for each service, `all` for every service in one process, and
// the commands of operators and newcomers.
//
// What a running `penchant all` is made of; each box is also a target of its own:
//
//	                    ┌──────────────── one HTTP port (awsapi.Router) ────────────────┐
//	PutEvents/Items/Users ▼                 Create/Describe/List ▼        GetRecommendations ▼
//	                ┌─────────┐                      ┌─────────┐                 ┌─────────────┐
//	                │ tracker │                      │ control │                 │ recommender │
//	                └────┬────┘                      └────┬────┘                 └──▲───────▲──┘
//	                     │ events                   jobs, │ catalog                 │ users │ models
//	═══ Kafka ═══════════▼════════════════════════════════▼═══════                  │       │
//	       │                      │                       │                         │       │
//	┌──────▼──────────┐    ┌──────▼───┐            ┌──────▼────┐                    │       │
//	│ session-updater │    │ firehose │            │ retrainer │                    │       │
//	└──────┬──────────┘    └──────┬───┘            └──────┬────┘                    │       │
//	═══ Redis ═══▼════════════════│═══════════════════════│═════════════════════════╯       │
//	═══ S3 ═══════════════════════▼ archive ══════════════▼ models, datasets, catalog ══════╯
//
// The services never call one another: they share Kafka, Redis and one bucket.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/penchant-io/penchant/services/bridge"
	"github.com/penchant-io/penchant/services/penchant/evaluate"
)

// commands is the command line: a field is a command, its struct the flags.
type commands struct {
	All            TargetCmd        `cmd:"" help:"Run every service in this process, on embedded servers where no outside ones are set."`
	Tracker        TargetCmd        `cmd:"" help:"Run the tracker: PutEvents, PutItems and PutUsers into Kafka."`
	SessionUpdater TargetCmd        `cmd:"" help:"Run the session-updater: folds interactions into user states in Redis."`
	Firehose       TargetCmd        `cmd:"" help:"Run the firehose: archives every event to S3, exactly once."`
	Retrainer      TargetCmd        `cmd:"" help:"Run the retrainer: imports, trainings."`
	Recommender    TargetCmd        `cmd:"" help:"Run the recommender: GetRecommendations and GetPersonalizedRanking."`
	Control        TargetCmd        `cmd:"" help:"Run the control plane: dataset groups, solutions, campaigns."`
	Bridge         BridgeCmd        `cmd:"" help:"Run the bridge: makes events of the records of a web server's own Kafka topic. Or check a mapping."`
	Status         StatusCmd        `cmd:"" help:"Show dataset groups, jobs, lags, archive, Redis and topics at a glance."`
	Doctor         DoctorCmd        `cmd:"" help:"Check the installation, or data: what is wrong, and how to fix it."`
	Topics         TopicsCmd        `cmd:"" help:"Read Penchant's topics, see who is behind, create missing ones."`
	Archive        ArchiveCmd       `cmd:"" help:"Verify the archive, or fold archived events into user states again."`
	Dlq            DlqCmd           `cmd:"" help:"List the records that could not be handled, or put them back."`
	Filter         FilterCmd        `cmd:"" help:"Check filter expressions."`
	Explain        ExplainCmd       `cmd:"" help:"Tell how the answer to a user comes about: model, history, what each part of a filter removed."`
	Workflow       WorkflowCmd      `cmd:"" help:"List, print or install the workflows that come with Penchant."`
	Report         ReportCmd        `cmd:"" help:"Show how good a solution version is, beside popularity, and save its plots."`
	Demo           DemoCmd          `cmd:"" help:"Show recommendations that change as a visitor clicks, on generated data."`
	Evaluate       evaluate.Command `cmd:"" help:"Train a recipe on a file and write its recommendations for the users of another."`
	Health         HealthCmd        `cmd:"" help:"Ask a process of this machine whether it is ready; exit code 1 and the reasons if not."`
	Version        VersionCmd       `cmd:"" help:"Print the version."`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "penchant:", err)
		os.Exit(exitCode(err))
	}
}

func run(args []string) error {
	// The first signal drains and stops; a second one ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	command, err := parseCommand(ctx, &commands{}, args)
	if err != nil {
		return err
	}
	return command.Run()
}

// parseCommand fills c from the arguments and the environment.
func parseCommand(ctx context.Context, c *commands, args []string) (*kong.Context, error) {
	parser, err := kong.New(c,
		kong.Name("penchant"),
		kong.Description("Self-hosted, wire-compatible Amazon Personalize on Kafka, Redis and S3."),
		kong.DefaultEnvars("PENCHANT"),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"data_dir": defaultDataDir(), "bridge_group": bridge.ConsumerGroup},
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		return nil, fmt.Errorf("building the command line: %w", err)
	}
	if err := prepareEnvironment(parser); err != nil {
		return nil, err
	}
	command, err := parser.Parse(args)
	if err != nil {
		return nil, unfinishedError{err}
	}
	return command, nil
}

// VersionCmd prints what was built.
type VersionCmd struct{}

// Run prints the module's version and the Go version, and the commit where the build knows it.
func (VersionCmd) Run() error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		fmt.Println("penchant (unknown build)")
		return nil
	}
	revision := ""
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = " " + s.Value
		}
	}
	fmt.Printf("penchant %s%s %s\n", info.Main.Version, revision, info.GoVersion)
	return nil
}
