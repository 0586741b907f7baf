"""What is told of days: the `story` of one, the `tally` of many, and the `coverage` of the
protocol's rules (`rules`, by the signs in `signs` and `hindsight`) and of faults amid manoeuvres
(`pairs`); `show` puts it into words and JSON."""
