import { testFaults } from './faults/short.ts'

testFaults('postgres')
