using Tern.Machine;
using Tern.Tests.Files;

namespace Tern.Tests.Machine;

public sealed class EnergyMeterTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Packages_and_memory_count_and_what_they_contain_does_not()
    {
        Domain("intel-rapl:0", "package-0", 1_000_000);
        Domain("intel-rapl:0:0", "core", 0);
        Domain("intel-rapl:0:1", "dram", 5_000_000);
        Domain("intel-rapl:1", "package-1", 7_000_000);
        Domain("intel-rapl:2", "psys", 0);
        EnergyMeter meter = EnergyMeter.Open(_folder.Path, out _)!;
        Assert.Equal(0, meter.Read());

        Domain("intel-rapl:0", "package-0", 3_500_000);
        Domain("intel-rapl:0:0", "core", 900_000_000);
        Domain("intel-rapl:0:1", "dram", 5_250_000);
        Domain("intel-rapl:1", "package-1", 8_000_000);
        Domain("intel-rapl:2", "psys", 900_000_000);
        Assert.Equal(2.5 + 0.25 + 1, meter.Read()!.Value, 1e-9);
    }

    [Fact]
    public void A_counter_that_ran_over_goes_on()
    {
        Domain("intel-rapl:0", "package-0", 900, range: 1000);
        EnergyMeter meter = EnergyMeter.Open(_folder.Path, out _)!;
        Domain("intel-rapl:0", "package-0", 100, range: 1000);
        Assert.Equal(200e-6, meter.Read()!.Value, 1e-12);
        Domain("intel-rapl:0", "package-0", 150, range: 1000);
        Assert.Equal(250e-6, meter.Read()!.Value, 1e-12);
    }

    [Fact]
    public void A_machine_without_counters_says_so()
    {
        Assert.Null(EnergyMeter.Open(_folder.Path, out string none));
        Assert.Contains("no energy counters", none, StringComparison.Ordinal);
        Assert.Null(EnergyMeter.Open(_folder.File("missing"), out string missing));
        Assert.Equal(none, missing);
    }

    [Theory]
    [InlineData("")]
    [InlineData("many\n")]
    [InlineData("99999999999999999999\n")]
    public void A_counter_that_is_no_number_is_no_meter(string content)
    {
        Domain("intel-rapl:0", "package-0", 1);
        File.WriteAllText(_folder.File("intel-rapl:0/energy_uj"), content);
        Assert.Null(EnergyMeter.Open(_folder.Path, out string reason));
        Assert.NotEqual("", reason);
    }

    [Fact]
    public void A_counter_that_disappears_ends_the_measurement()
    {
        Domain("intel-rapl:0", "package-0", 1);
        EnergyMeter meter = EnergyMeter.Open(_folder.Path, out _)!;
        File.Delete(_folder.File("intel-rapl:0/energy_uj"));
        Assert.Null(meter.Read());
    }

    private void Domain(string folder, string name, long microjoules, long range = 262_143_328_850)
    {
        Directory.CreateDirectory(_folder.File(folder));
        File.WriteAllText(_folder.File($"{folder}/name"), name + "\n");
        File.WriteAllText(_folder.File($"{folder}/energy_uj"), $"{microjoules}\n");
        File.WriteAllText(_folder.File($"{folder}/max_energy_range_uj"), $"{range}\n");
    }
}
