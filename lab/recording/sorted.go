package recording

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"time"

	"footfall/events"
)

// packed is an item of a file that has to be sorted: 32 bytes, where an Item
// takes 152 and its strings. What repeats is kept once, in the tables of
// sortedItems.
type packed struct {
	arrived, seen int64  // ms
	device        uint32 // of the table, or the index of a CRM event
	router        uint32 // of the table
	number        uint32 // of the line or packet
	rssi          int8
	flags         uint8
}

const (
	associatedFlag = 1 << iota
	randomisedFlag
	crmFlag
)

// router is a sensor of a business.
type router struct {
	business events.BusinessID
	sensor   events.SensorID
}

// sortedItems gives the items of a file in order of arrival, those that arrived
// at once in the order of the file.
type sortedItems struct {
	in      *input
	file    string
	packets bool     // positions count packets
	items   []packed // the tables below are by its indexes
	devices []events.DeviceID
	routers []router
	crm     []*events.CRMEvent
	given   int
}

// loadSorted reads and sorts the items of d, of which there are count.
func loadSorted(in *input, d decoder, count int64) (*sortedItems, error) {
	s := &sortedItems{in: in, items: make([]packed, 0, count)}
	deviceIndex := make(map[events.DeviceID]uint32)
	routerIndex := make(map[router]uint32)
	var it Item
	for { // until the end of the file, which scan has seen to be without errors
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
	// The number decides between equals, so that the order is the file's without
	// the cost of a stable sort.
	slices.SortFunc(s.items, func(a, b packed) int {
		return cmp.Or(cmp.Compare(a.arrived, b.arrived), cmp.Compare(a.number, b.number))
	})
	return s, nil
}

// indexOf finds v in the table, at whose end it puts what is new.
func indexOf[T comparable](index map[T]uint32, table *[]T, v T) uint32 {
	i, ok := index[v]
	if !ok {
		i = uint32(len(*table))
		index[v] = i
		*table = append(*table, v)
	}
	return i
}

func flagsOf(s *events.Sighting) (f uint8) {
	if s.Associated {
		f |= associatedFlag
	}
	if s.Randomised {
		f |= randomisedFlag
	}
	return f
}

// next is as in decoder.
func (s *sortedItems) next(it *Item) error {
	if s.given == len(s.items) {
		return io.EOF
	}
	p := s.items[s.given]
	s.given++
	// Nothing is read any more: progress is the part of the items given.
	s.in.done.Store(int64(float64(s.in.size) * float64(s.given) / float64(len(s.items))))
	*it = Item{
		ArrivedAt: time.UnixMilli(p.arrived).UTC(),
		Source:    Position{File: s.file, Number: int64(p.number), Packet: s.packets},
	}
	if p.flags&crmFlag != 0 {
		it.CRM = s.crm[p.device]
		return nil
	}
	r := s.routers[p.router]
	it.Sighting = events.Sighting{
		Business: r.business, Sensor: r.sensor, Device: s.devices[p.device],
		RSSI: events.RSSI(p.rssi), SeenAt: time.UnixMilli(p.seen).UTC(),
		Associated: p.flags&associatedFlag != 0, Randomised: p.flags&randomisedFlag != 0,
	}
	return nil
}
