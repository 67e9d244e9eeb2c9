package bus

import (
	"errors"
	"net"
	"strconv"
	"strings"
)

// ValidateBroker returns why Open could not take the address of a broker, whatever listens there.
func ValidateBroker(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err == nil && host != "" && !strings.Contains(addr, "/") {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil && n > 0 {
			return nil
		}
	}
	return errors.New("want host:port, without a scheme")
}
