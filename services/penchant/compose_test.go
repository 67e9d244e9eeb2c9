package main

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/penchant-io/penchant/deploy/deploytest"
	"github.com/penchant-io/penchant/services/bridge"
	"github.com/penchant-io/penchant/services/penchant/app"
)

// The tests of this file parse the commands and environments of docker-compose.yml as the binary does.

func TestComposeRunsTheBinary(t *testing.T) {
	project := deploytest.Compose(t, deploytest.Keys(), "core", "minio")
	services := deploytest.PenchantServices(project)
	var names, expected []string
	for name := range services {
		names = append(names, name)
	}
	for _, target := range app.Services() {
		expected = append(expected, string(target))
	}
	slices.Sort(names)
	slices.Sort(expected)
	if !slices.Equal(names, expected) {
		t.Fatalf("the file runs %v, the binary's targets are %v", names, expected)
	}
	for _, target := range app.Services() {
		t.Run(string(target), func(t *testing.T) {
			service := services[string(target)]
			for name, value := range service.Environment {
				t.Setenv(name, *value)
			}
			var c commands
			command, err := parseCommand(t.Context(), &c, service.Command)
			if err != nil {
				t.Fatal(err)
			}
			if command.Command() != string(target) {
				t.Errorf("the command is %s", command.Command())
			}
			settings := command.Selected().Target.Interface().(targetCmd).Settings
			if err := settings.Require(target); err != nil {
				t.Error(err)
			}
			if !target.Needs(app.Redis) && settings.RedisURL != "" {
				t.Error("it has the address of a Redis that it does not use")
			}
			_, port, err := net.SplitHostPort(settings.HTTPAddr)
			if err != nil || !slices.Contains(service.Expose, port) {
				t.Errorf("it listens on %s and exposes %v", settings.HTTPAddr, service.Expose)
			}
			if settings.TopicReplicationFactor != 1 || settings.TopicMinInsyncReplicas != 1 {
				t.Error("there is one broker, and its topics are to have several replicas")
			}
			if !deploytest.HasDisk(service, settings.DataDir) {
				t.Errorf("nothing that is writable is mounted at %s", settings.DataDir)
			}
			if target.Needs(app.Models) &&
				!slices.ContainsFunc(service.Volumes, func(v types.ServiceVolumeConfig) bool {
					return v.Type == types.VolumeTypeVolume && v.Target == settings.DataDir
				}) {
				t.Error("its models are lost when the container is replaced")
			}
			needed := map[string]string{"kafka": settings.KafkaBrokers[0],
				"minio": deploytest.Host(t, settings.S3Endpoint)}
			if target.Needs(app.Redis) {
				needed["redis"] = deploytest.Host(t, settings.RedisURL)
			}
			for server, addr := range needed {
				host, port, err := net.SplitHostPort(addr)
				if err != nil || host != server || !slices.Contains(project.Services[host].Expose, port) {
					t.Errorf("it looks for %s at %s, which exposes %v", server, addr, project.Services[host].Expose)
				}
				if _, waits := service.DependsOn[server]; !waits {
					t.Errorf("it does not wait for %s", server)
				}
			}

			check := service.HealthCheck.Test
			if check[0] != "CMD" || check[1] != deploytest.Entrypoint(t) {
				t.Fatalf("the health check %v does not run the binary", check)
			}
			asked, err := parseCommand(t.Context(), &commands{}, check[2:])
			if err != nil {
				t.Fatal(err)
			}
			if health, ok := asked.Selected().Target.Interface().(healthCmd); !ok ||
				health.HTTPAddr != settings.HTTPAddr {
				t.Errorf("the health check asks %+v", health)
			}

			t.Setenv("PENCHANT_ACCESS_KEYS", "penchant:"+app.DefaultSecret)
			if _, err := parseCommand(t.Context(), &commands{}, service.Command); err == nil ||
				!strings.Contains(err.Error(), "default key pair") {
				t.Errorf("with the default key pair: %v", err)
			}
		})
	}
}

// TestComposeRunsTheBridge: the profile's container runs, once it has topics to read, and calls the gateway as its
// own clients do.
func TestComposeRunsTheBridge(t *testing.T) {
	load := func(environment map[string]string) (*types.Project, *bridgeRunCmd, error) {
		project := deploytest.Compose(t, environment, "core", "minio", "bridge")
		service := project.Services["bridge"]
		for name, value := range service.Environment {
			t.Setenv(name, *value)
		}
		var c commands
		command, err := parseCommand(t.Context(), &c, service.Command)
		if err == nil && command.Command() != "bridge run" {
			t.Errorf("the command is %s", command.Command())
		}
		return project, &c.Bridge.Run, err
	}
	if _, _, err := load(deploytest.Keys()); err == nil || !strings.Contains(err.Error(), "bridge-t") {
		t.Errorf("without topics: %v", err)
	}
	environment := deploytest.Keys()
	environment["PENCHANT_BRIDGE_TOPICS"], environment["PENCHANT_BRIDGE_TRACKING_ID"] = "clicks,orders", "tracker"
	project, run, err := load(environment)
	if err != nil {
		t.Fatal(err)
	}
	service, settings := project.Services["bridge"], run.Settings
	if err := settings.Require(app.Bridge); err != nil {
		t.Error(err)
	}
	if len(run.Bridge.Topics) != 2 || settings.AccessKeys != deploytest.Keys()["PENCHANT_ACCESS_KEYS"] ||
		settings.TopicReplicationFactor != 1 || !deploytest.HasDisk(service, settings.DataDir) {
		t.Errorf("%+v", run)
	}
	host, port, err := net.SplitHostPort(deploytest.Host(t, run.Bridge.Endpoint))
	if _, waits := service.DependsOn[host]; err != nil || !waits ||
		!slices.ContainsFunc(project.Services[host].Ports,
			func(p types.ServicePortConfig) bool { return fmt.Sprint(p.Target) == port }) {
		t.Errorf("it calls %s, for which it does not wait, or which does not listen there: %v", run.Bridge.Endpoint,
			err)
	}
	mounted := service.Volumes[0]
	if filepath.Dir(run.Bridge.MappingFile) != mounted.Target {
		t.Errorf("the mapping is at %s, and %s is mounted", run.Bridge.MappingFile, mounted.Target)
	}
	if _, err := bridge.ReadMapping(filepath.Join(mounted.Source, filepath.Base(run.Bridge.MappingFile))); err != nil {
		t.Error(err)
	}
}
