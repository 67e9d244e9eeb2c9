package deploy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"

	"github.com/penchant-io/penchant/deploy/deploytest"
	"github.com/penchant-io/penchant/services/penchant/app"
)

// The tests of this file hold the alerts and the dashboard to the metrics that the binary has: a query for a metric or a
// label that nobody exposes is not an error to Prometheus, it is silence.

// exposedMetrics are the metrics of `penchant all`, also those that have no series yet.
type exposedMetrics struct {
	labels map[string][]string
	types  map[string]dto.MetricType // of those with series
}

var descPattern = regexp.MustCompile(`^Desc\{fqName: "([^"]*)", .*constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}\}$`)

func exposed(t *testing.T) exposedMetrics {
	t.Helper()
	settings := &app.Settings{}
	if err := kong.ApplyDefaults(settings, kong.Vars{"data_dir": t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	const anyPort = "127.0.0.1:0"
	settings.HTTPAddr = anyPort
	settings.KafkaAddr, settings.RedisAddr, settings.S3Addr = anyPort, anyPort, anyPort
	ctx, stop := context.WithCancel(t.Context())
	all, err := app.New(ctx, app.Config{Settings: settings, Target: app.All, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- all.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	if err := all.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}

	// Prometheus adds these to every series.
	found := exposedMetrics{labels: map[string][]string{"up": {"job", "instance"}}, types: map[string]dto.MetricType{}}
	descs := make(chan *prometheus.Desc)
	go func() { all.Metrics().Describe(descs); close(descs) }()
	for desc := range descs {
		match := descPattern.FindStringSubmatch(desc.String())
		if match == nil {
			t.Fatalf("unreadable: %s", desc)
		}
		names := []string{"job", "instance"}
		for pair := range strings.SplitSeq(match[2], ",") { // name="value"
			name, _, _ := strings.Cut(pair, "=")
			names = append(names, name)
		}
		names = append(names, strings.Split(match[3], ",")...)
		found.labels[match[1]] = names
	}
	families, err := all.Metrics().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		found.types[family.GetName()] = family.GetType()
		if family.GetType() == dto.MetricType_SUMMARY {
			found.labels[family.GetName()] = append(found.labels[family.GetName()], "quantile")
		}
	}
	return found
}

// series returns the labels of a metric as PromQL names it.
func (e exposedMetrics) series(name string) ([]string, error) {
	if names, exact := e.labels[name]; exact {
		if e.types[name] == dto.MetricType_HISTOGRAM {
			return nil, fmt.Errorf("%s is a histogram: it has _bucket, _sum and _count", name)
		}
		return names, nil
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		base, cut := strings.CutSuffix(name, suffix)
		names, known := e.labels[base]
		if !cut || !known {
			continue
		}
		if kind, seen := e.types[base]; seen && kind != dto.MetricType_HISTOGRAM {
			return nil, fmt.Errorf("%s is a %s, not a histogram", base, kind)
		}
		if suffix == "_bucket" {
			names = append(slices.Clone(names), "le")
		}
		return names, nil
	}
	return nil, fmt.Errorf("the binary has no metric %s", name)
}

// promQL are the functions that the queries may use. The parser knows more than Prometheus does; of these, those that look
// back need a window.
var promQL = map[string]struct{ window bool }{
	"rate": {window: true}, "increase": {window: true}, "histogram_quantile": {}, "absent": {}, "vector": {},
}

// check returns the labels of what an expression gives, and an error if it asks for what is not there.
func (e exposedMetrics) check(expression metricsql.Expr) ([]string, error) {
	switch x := expression.(type) {
	case *metricsql.MetricExpr:
		return e.checkSelector(x)
	case *metricsql.RollupExpr:
		return e.check(x.Expr)
	case *metricsql.AggrFuncExpr:
		names, err := e.checkAll(x.Args)
		if err != nil {
			return nil, err
		}
		for _, name := range x.Modifier.Args {
			if !slices.Contains(names, name) {
				return nil, fmt.Errorf("it groups by %s, which there is not", name)
			}
		}
		if x.Modifier.Op == "without" {
			return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(x.Modifier.Args, name) }), nil
		}
		return x.Modifier.Args, nil
	case *metricsql.FuncExpr:
		function, known := promQL[x.Name]
		if !known {
			return nil, fmt.Errorf("is %s a function of Prometheus? Then add it to promQL", x.Name)
		}
		if rollup, ok := x.Args[0].(*metricsql.RollupExpr); function.window && (!ok || rollup.Window == nil) {
			return nil, fmt.Errorf("%s needs a window", x.Name)
		}
		names, err := e.checkAll(x.Args)
		if err == nil && x.Name == "histogram_quantile" && !slices.Contains(names, "le") {
			return nil, errors.New("histogram_quantile needs buckets by le")
		}
		return names, err
	case *metricsql.BinaryOpExpr:
		return e.checkAll([]metricsql.Expr{x.Left, x.Right})
	case *metricsql.NumberExpr, *metricsql.StringExpr:
		return nil, nil
	}
	return nil, fmt.Errorf("the test does not know %T yet", expression)
}

func (e exposedMetrics) checkAll(expressions []metricsql.Expr) ([]string, error) {
	var all []string
	for _, expression := range expressions {
		names, err := e.check(expression)
		if err != nil {
			return nil, err
		}
		all = append(all, names...)
	}
	return all, nil
}

func (e exposedMetrics) checkSelector(x *metricsql.MetricExpr) ([]string, error) {
	if len(x.LabelFilterss) != 1 || x.LabelFilterss[0][0].Label != "__name__" {
		return nil, errors.New("a selector has no name")
	}
	name := x.LabelFilterss[0][0].Value
	names, err := e.series(name)
	if err != nil {
		return nil, err
	}
	for _, filter := range x.LabelFilterss[0][1:] {
		if !slices.Contains(names, filter.Label) {
			return nil, fmt.Errorf("%s has no label %s", name, filter.Label)
		}
	}
	return names, nil
}

// templateLabel finds labels in a legend ({{job}}) and in an annotation ({{ $labels.job }}).
var templateLabel = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?([a-z_]+)\s*(?:\||\}\})`)

func (e exposedMetrics) checkQuery(query, template string) error {
	for name, interval := range map[string]string{"$__rate_interval": "1m", "$__interval": "1m", "$__range": "1h"} {
		query = strings.ReplaceAll(query, name, interval)
	}
	expression, err := metricsql.Parse(query)
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	names, err := e.check(expression)
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	for _, match := range templateLabel.FindAllStringSubmatch(template, -1) {
		if !slices.Contains(names, match[1]) {
			return fmt.Errorf("%s: %q shows a label that is not there", query, template)
		}
	}
	return nil
}

type dashboard struct {
	UID    string
	Panels []struct {
		Title, Type string
		ID          int
		Datasource  struct{ UID string }
		GridPos     struct{ H, W, X, Y int }
		Targets     []struct{ Expr, LegendFormat string }
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestAlertsAndDashboardAskForWhatIsThere(t *testing.T) {
	if testing.Short() {
		t.Skip("starts every service")
	}
	metrics := exposed(t)
	for query, want := range map[string]string{ // the test can fail
		"penchant_no_such_total":                               "no metric",
		`sum by (color) (penchant_ready)`:                      "groups by",
		`penchant_ready{color="red"}`:                          "no label",
		"rate(penchant_session_updater_freshness_seconds[1m])": "is a histogram",
		"rate(penchant_ready_bucket[1m])":                      "not a histogram",
		"sum(penchant_ready":                                   "unexpected token",
	} {
		if err := metrics.checkQuery(query, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", query, err, want)
		}
	}
	if err := metrics.checkQuery("sum by (job) (penchant_ready)", "{{service}}"); err == nil {
		t.Error("a legend of a label that was summed away was accepted")
	}

	var board dashboard
	if err := json.Unmarshal(readFile(t, "grafana/dashboards/penchant.json"), &board); err != nil {
		t.Fatal(err)
	}
	ids, queries := map[int]bool{}, 0
	for _, panel := range board.Panels {
		if ids[panel.ID] || panel.GridPos.W <= 0 || panel.GridPos.X+panel.GridPos.W > 24 {
			t.Errorf("panel %q: id %d, position %+v", panel.Title, panel.ID, panel.GridPos)
		}
		ids[panel.ID] = true
		if panel.Type == "row" {
			continue
		}
		if len(panel.Targets) == 0 || panel.Datasource.UID == "" {
			t.Errorf("panel %q asks nobody", panel.Title)
		}
		for _, target := range panel.Targets {
			queries++
			if err := metrics.checkQuery(target.Expr, target.LegendFormat); err != nil {
				t.Errorf("panel %q: %v", panel.Title, err)
			}
		}
	}
	for _, alert := range alerts(t) {
		queries++
		if err := metrics.checkQuery(alert.Expr, alert.Annotations["summary"]); err != nil {
			t.Errorf("alert %s: %v", alert.Alert, err)
		}
	}
	t.Logf("%d queries of %d metrics", queries, len(metrics.labels))
}

type alert struct {
	Alert         string
	Expr          string
	For           string            `yaml:",omitempty"`
	KeepFiringFor string            `yaml:"keep_firing_for,omitempty"`
	Labels        map[string]string `yaml:",omitempty"`
	Annotations   map[string]string `yaml:",omitempty"`
}

func alerts(t *testing.T) []alert {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []alert
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(readFile(t, "prometheus/alerts.yml")))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	// As Prometheus makes annotations, with those of its functions that are used.
	shown := template.New("").Funcs(template.FuncMap{
		"humanize": fmt.Sprint, "humanizeDuration": fmt.Sprint, "humanizePercentage": fmt.Sprint,
	})
	var rules []alert
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			for _, duration := range []string{rule.For, rule.KeepFiringFor} {
				if _, err := model.ParseDuration(duration); err != nil && duration != "" {
					t.Errorf("%s: %v", rule.Alert, err)
				}
			}
			for _, text := range rule.Annotations {
				if _, err := shown.Parse("{{ $labels := .Labels }}{{ $value := .Value }}" + text); err != nil {
					t.Errorf("%s: %v", rule.Alert, err)
				}
			}
			rules = append(rules, rule)
		}
	}
	return rules
}

// TestEachAlertIsExplained: whoever is woken finds what it means.
func TestEachAlertIsExplained(t *testing.T) {
	t.Parallel()
	guide := string(readFile(t, "../docs/deployment.md"))
	for _, alert := range alerts(t) {
		if !strings.Contains(guide, "| `"+alert.Alert+"` |") {
			t.Errorf("docs/deployment.md does not explain %s", alert.Alert)
		}
		if alert.Labels["severity"] == "" || alert.Annotations["summary"] == "" {
			t.Errorf("%s has no severity or no summary", alert.Alert)
		}
	}
}

// TestMonitoringFindsTheContainers: Prometheus scrapes every Penchant service of the compose file at the port where it
// listens, and Grafana finds Prometheus and the dashboard.
func TestMonitoringFindsTheContainers(t *testing.T) {
	t.Parallel()
	project := deploytest.Compose(t, deploytest.Keys(), "core", "minio", "obs", "bridge")
	var config struct {
		RuleFiles     []string `yaml:"rule_files"`
		ScrapeConfigs []struct {
			DNS []struct {
				Names []string
				Port  int
			} `yaml:"dns_sd_configs"`
		} `yaml:"scrape_configs"`
	}
	if err := yaml.Unmarshal(readFile(t, "prometheus/prometheus.yml"), &config); err != nil {
		t.Fatal(err)
	}
	unwatched := deploytest.PenchantServices(project)
	for _, scrape := range config.ScrapeConfigs {
		for _, dns := range scrape.DNS {
			for _, name := range dns.Names {
				if !slices.Contains(project.Services[name].Expose, strconv.Itoa(dns.Port)) {
					t.Errorf("%s is scraped at port %d and exposes %v", name, dns.Port, project.Services[name].Expose)
				}
				delete(unwatched, name)
			}
		}
	}
	if len(unwatched) > 0 {
		t.Errorf("not scraped: %v", slices.Sorted(maps.Keys(unwatched)))
	}
	for _, file := range config.RuleFiles {
		readFile(t, filepath.Join("prometheus", file))
	}

	var sources struct{ Datasources []struct{ UID, URL string } }
	if err := yaml.Unmarshal(readFile(t, "grafana/provisioning/datasources/prometheus.yml"), &sources); err != nil {
		t.Fatal(err)
	}
	source := sources.Datasources[0]
	if host, port, err := net.SplitHostPort(deploytest.Host(t, source.URL)); err != nil || !slices.Contains(project.Services[host].Expose, port) {
		t.Errorf("Grafana looks for Prometheus at %s", source.URL)
	}
	var board dashboard
	if err := json.Unmarshal(readFile(t, "grafana/dashboards/penchant.json"), &board); err != nil {
		t.Fatal(err)
	}
	for _, panel := range board.Panels {
		if panel.Type != "row" && panel.Datasource.UID != source.UID {
			t.Errorf("panel %q asks data source %q, which is none", panel.Title, panel.Datasource.UID)
		}
	}
	var providers struct {
		Providers []struct{ Options struct{ Path string } }
	}
	if err := yaml.Unmarshal(readFile(t, "grafana/provisioning/dashboards/penchant.yml"), &providers); err != nil {
		t.Fatal(err)
	}
	mounted := map[string]string{}
	for _, volume := range project.Services["grafana"].Volumes {
		mounted[volume.Target] = volume.Source
	}
	boards := mounted[providers.Providers[0].Options.Path]
	home := *project.Services["grafana"].Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
	if _, err := os.Stat(filepath.Join(boards, filepath.Base(home))); boards == "" || err != nil || filepath.Dir(home) != providers.Providers[0].Options.Path {
		t.Errorf("dashboards are looked for in %s (%s), the first is %s: %v", providers.Providers[0].Options.Path, boards, home, err)
	}
}
