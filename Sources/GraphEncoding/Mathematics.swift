import Foundation

func expOf(_ x: Float) -> Float { exp(x) }
func logOfOnePlus(_ x: Float) -> Float { log1p(x) }
func logOf(_ x: Double) -> Double { log(x) }
func powerOf(_ x: Double, _ exponent: Double) -> Double { pow(x, exponent) }
