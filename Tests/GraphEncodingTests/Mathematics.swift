import Foundation

func logOf(_ x: Double) -> Double { log(x) }
func expOf(_ x: Double) -> Double { exp(x) }
