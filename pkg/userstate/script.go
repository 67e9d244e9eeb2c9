package userstate

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// saveScript writes each of its keys whose rev is the expected one, and answers 1 or 0 for each. Arguments of a key:
// expected rev, new rev, state, expiry, number of other fields to write, number of fields to delete, then the former as
// field and value each, then the latter. Expiry is a Unix time in seconds, "0" for none any more, "" to leave it alone.
//
// One key a call would do, and does on a cluster, where keys of a call must share a slot. Elsewhere a call takes
// several: the cost of starting the interpreter is most of what a key costs, twenty times so in the embedded server.
const saveScript = `
local done, a = {}, 1
for k, key in ipairs(KEYS) do
  local first = a + 6
  local last = first + 2 * tonumber(ARGV[a + 4]) - 1
  local dropped = last + tonumber(ARGV[a + 5])
  done[k] = 0
  if (redis.call('HGET', key, 'rev') or '') == ARGV[a] then
    redis.call('HSET', key, 'rev', ARGV[a + 1], 'state', ARGV[a + 2], unpack(ARGV, first, last))
    if dropped > last then redis.call('HDEL', key, unpack(ARGV, last + 1, dropped)) end
    if ARGV[a + 3] == '0' then redis.call('PERSIST', key)
    elseif ARGV[a + 3] ~= '' then redis.call('EXPIREAT', key, ARGV[a + 3]) end
    done[k] = 1
  end
  a = dropped + 1
end
return done`

// advanceScript moves the watermark in field ARGV[1] up to ARGV[3] if it is not below ARGV[2], and answers 1; 0 when it
// is missing or went back.
const advanceScript = `
local now = tonumber(redis.call('HGET', KEYS[1], ARGV[1]))
if not now or now < tonumber(ARGV[2]) then return 0 end
if now < tonumber(ARGV[3]) then redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
return 1`

// call is one call of a script.
type call struct {
	keys []string
	args []any
}

// runScript makes the calls in one pipeline and returns their answers. A server that does not know the script (it was
// restarted, or failed over) is sent it whole: every call again that met it, each of which is a first try.
func (s *Store) runScript(ctx context.Context, script *redis.Script, source string, calls []call) ([]any, error) {
	answers := make([]any, len(calls))
	send := func(which []int, whole bool) (unknown []int, err error) {
		cmds := make([]*redis.Cmd, len(which))
		pipe := s.writer.Pipeline()
		for k, n := range which {
			if whole {
				cmds[k] = pipe.Eval(ctx, source, calls[n].keys, calls[n].args...)
			} else {
				cmds[k] = pipe.EvalSha(ctx, script.Hash(), calls[n].keys, calls[n].args...)
			}
		}
		// Each command holds its own error; the pipeline's is the first of them.
		_, _ = pipe.Exec(ctx)
		for k, n := range which {
			answer, err := cmds[k].Result()
			switch {
			case err == nil:
				answers[n] = answer
			case !whole && strings.HasPrefix(err.Error(), "NOSCRIPT"):
				unknown = append(unknown, n)
			default:
				return nil, fmt.Errorf("running the script: %w", err)
			}
		}
		return unknown, nil
	}
	all := make([]int, len(calls))
	for k := range all {
		all[k] = k
	}
	unknown, err := send(all, false)
	if err == nil && len(unknown) > 0 {
		_, err = send(unknown, true)
	}
	return answers, err
}
