using System.Globalization;

namespace Tern.Machine;

/// <summary>
/// Joules that processors and memory have used, by RAPL's counters as Linux shows them:
/// <code>
///   /sys/class/powercap/intel-rapl:0/            name "package-0"   one for each socket; AMD's have the same names
///                       intel-rapl:0/            energy_uj          µJ since some moment, starts again at 0 behind
///                                                max_energy_range_uj
///                       intel-rapl:0:1/          name "dram"        where it is there, it is not part of the package
/// </code>
/// Other domains (core, uncore, psys) are parts of these or contain them.
/// </summary>
internal sealed class EnergyMeter
{
    private const string SystemFolder = "/sys/class/powercap";

    private readonly List<Counter> _counters;

    private EnergyMeter(List<Counter> counters) => _counters = counters;

    /// <summary>The meter, or null and the reason where the machine has none that may be read.</summary>
    public static EnergyMeter? Open(out string reason) => Open(SystemFolder, out reason);

    /// <summary>As above with another folder in the place of the system's.</summary>
    public static EnergyMeter? Open(string folder, out string reason)
    {
        reason = "";
        var counters = new List<Counter>();
        try
        {
            string[] domains = Directory.Exists(folder) ? Directory.GetDirectories(folder, "intel-rapl:*") : [];
            foreach (string domain in domains.Order(StringComparer.Ordinal))
            {
                string name = File.ReadAllText(Path.Combine(domain, "name")).Trim();
                if (name.StartsWith("package", StringComparison.Ordinal) || name == "dram")
                    counters.Add(new Counter(domain));
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException or OverflowException)
        {
            reason = e is UnauthorizedAccessException ? "its counters may be read by root only" : e.Message;
            return null;
        }

        if (counters.Count > 0)
            return new EnergyMeter(counters);
        reason = "the machine shows no energy counters";
        return null;
    }

    /// <summary>Joules since the meter was opened, or null when a counter can be read no more. To be asked more often than counters run over (some ten minutes).</summary>
    public double? Read()
    {
        try
        {
            return _counters.Sum(c => c.Advance()) * 1e-6;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException or OverflowException)
        {
            return null;
        }
    }

    private sealed class Counter
    {
        private readonly string _path;
        private readonly long _range;
        private long _last;
        private long _total;

        public Counter(string domain)
        {
            _path = Path.Combine(domain, "energy_uj");
            _range = ReadNumber(Path.Combine(domain, "max_energy_range_uj"));
            _last = ReadNumber(_path);
        }

        /// <summary>Microjoules since it was made.</summary>
        public long Advance()
        {
            long now = ReadNumber(_path);
            _total += now >= _last ? now - _last : now + _range - _last;
            _last = now;
            return _total;
        }

        private static long ReadNumber(string path) => long.Parse(File.ReadAllText(path), NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture);
    }
}
