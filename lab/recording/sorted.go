package recording

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"time"

	"footfall/events"
)

// packed is an item of a file that has to be sorted: 32 bytes, compared with
// 152 for an Item and its strings. Repeated values are stored once, in the
// tables of sortedItems.
type packed struct {
	arrived, seen int64  // ms
	device        uint32 // index in devices, or in crm for a CRM event
	router        uint32 // index in routers
	number        uint32 // number of the line or packet
	rssi          int8
	flags         uint8
}

const (
	associatedFlag = 1 << iota
	randomisedFlag
	crmFlag
	sessionFlags // the first bit of the index in sessions
)

// sessions are the reports about a session, by their index in the flags.
var sessions = [...]events.Session{events.SessionNone, events.SessionJoined, events.SessionAlive, events.SessionLeft}

// router is a sensor of a business.
type router struct {
	business events.BusinessID
	sensor   events.SensorID
}

// sortedItems is a decoder that returns the items of a file in order of
// arrival, and items that arrived at once in the order of the file.
type sortedItems struct {
	in       *input
	file     string
	packets  bool     // whether positions count packets
	items    []packed // sorted; their indexes refer to the tables below
	devices  []events.DeviceID
	routers  []router
	crm      []*events.CRMEvent
	returned int // number of items returned
}

// loadSorted reads the items of d, which are count, and sorts them.
func loadSorted(in *input, d decoder, count int64) (*sortedItems, error) {
	s := &sortedItems{in: in, items: make([]packed, 0, count)}
	deviceIndex := make(map[events.DeviceID]uint32)
	routerIndex := make(map[router]uint32)
	// Pack the items up to the end of the file. scan found no mistakes in the
	// file, so an error means that the file was changed since.
	var it Item
	for {
		err := d.next(&it)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		p := packed{arrived: it.ArrivedAt.UnixMilli(), number: uint32(it.Source.Number)}
		if it.CRM != nil {
			p.flags, p.device = crmFlag, uint32(len(s.crm))
			s.crm = append(s.crm, it.CRM)
		} else {
			sg := &it.Sighting
			p.seen, p.rssi, p.flags = sg.SeenAt.UnixMilli(), int8(sg.RSSI), flagsOf(sg)
			p.device = indexOf(deviceIndex, &s.devices, sg.Device)
			p.router = indexOf(routerIndex, &s.routers, router{sg.Business, sg.Sensor})
		}
		s.items = append(s.items, p)
	}
	s.file, s.packets = it.Source.File, it.Source.Packet
	// The number breaks ties, which keeps the order of the file without the cost of
	// a stable sort.
	slices.SortFunc(s.items, func(a, b packed) int {
		return cmp.Or(cmp.Compare(a.arrived, b.arrived), cmp.Compare(a.number, b.number))
	})
	return s, nil
}

// indexOf returns the index of v in the table; a new v is appended.
func indexOf[T comparable](index map[T]uint32, table *[]T, v T) uint32 {
	i, ok := index[v]
	if !ok {
		i = uint32(len(*table))
		index[v] = i
		*table = append(*table, v)
	}
	return i
}

// flagsOf returns the packed flags of a sighting.
func flagsOf(s *events.Sighting) (f uint8) {
	if s.Associated {
		f |= associatedFlag
	}
	if s.Randomised {
		f |= randomisedFlag
	}
	return f | sessionFlags*uint8(slices.Index(sessions[:], s.Session))
}

// next implements decoder.
func (s *sortedItems) next(it *Item) error {
	if s.returned == len(s.items) {
		return io.EOF
	}
	p := s.items[s.returned]
	s.returned++
	// The file is no longer read: progress is the share of the items returned.
	s.in.done.Store(int64(float64(s.in.size) * float64(s.returned) / float64(len(s.items))))
	*it = Item{
		ArrivedAt: time.UnixMilli(p.arrived).UTC(),
		Source:    Position{File: s.file, Number: int64(p.number), Packet: s.packets},
	}
	// Look the values up in the tables.
	if p.flags&crmFlag != 0 {
		it.CRM = s.crm[p.device]
		return nil
	}
	r := s.routers[p.router]
	it.Sighting = events.Sighting{
		Business: r.business, Sensor: r.sensor, Device: s.devices[p.device],
		RSSI: events.RSSI(p.rssi), SeenAt: time.UnixMilli(p.seen).UTC(),
		Associated: p.flags&associatedFlag != 0, Randomised: p.flags&randomisedFlag != 0,
		Session: sessions[p.flags/sessionFlags],
	}
	return nil
}
