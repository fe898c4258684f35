package events

// object is a walk over the fields of a JSON object. json.Valid must have
// accepted the data: the walk indexes without a look at the length.
type object struct {
	data []byte
	pos  int
}

// openObject returns the walk at the first field. ok is false if data is not an
// object.
func openObject(data []byte) (o object, ok bool) {
	o = object{data: data}
	o.skipSpace()
	if data[o.pos] != '{' {
		return object{}, false
	}
	o.pos++
	return o, true
}

// next returns the name of the next field, with its quotes, and its value. ok is
// false after the last field.
func (o *object) next() (name, value []byte, ok bool) {
	// Behind the first field, a comma comes before the next.
	o.skipSpace()
	if o.data[o.pos] == ',' {
		o.pos++
		o.skipSpace()
	}
	if o.data[o.pos] == '}' {
		return nil, nil, false
	}
	name = o.nextValue()
	o.skipSpace()
	o.pos++ // the colon
	o.skipSpace()
	return name, o.nextValue(), true
}

func (o *object) skipSpace() {
	for o.data[o.pos] <= ' ' {
		o.pos++
	}
}

// nextValue steps over one value, however deep, and returns its bytes.
func (o *object) nextValue() []byte {
	start, depth := o.pos, 0
	for {
		switch o.data[o.pos] {
		case '"':
			o.skipString()
		case '{', '[':
			depth++
			o.pos++
		case '}', ']':
			depth--
			o.pos++
		case ',', ':', ' ', '\t', '\r', '\n': // between the parts of a nested value
			o.pos++
		default:
			o.skipLiteral()
		}
		// A string or a literal ends the value at once, a bracket when it closes
		// the outermost one.
		if depth == 0 {
			return o.data[start:o.pos]
		}
	}
}

// skipString steps over a string and its closing quote.
func (o *object) skipString() {
	for o.pos++; o.data[o.pos] != '"'; o.pos++ {
		if o.data[o.pos] == '\\' {
			o.pos++
		}
	}
	o.pos++
}

// skipLiteral steps over a number, true, false or null.
func (o *object) skipLiteral() {
	for {
		switch o.data[o.pos] {
		case ',', '}', ']', ' ', '\t', '\r', '\n':
			return
		}
		o.pos++
	}
}
