using System.Globalization;

namespace Tern.Hub;

/// <summary>Bytes as people say them.</summary>
internal static class Sizes
{
    private static readonly string[] s_units = ["B", "kB", "MB", "GB", "TB"];

    /// <summary>Three digits and a decimal unit: 1.19 GB.</summary>
    public static string Text(long bytes)
    {
        double value = bytes;
        int unit = 0;
        while (value >= 999.5 && unit < s_units.Length - 1)
        {
            value /= 1000;
            unit++;
        }

        string format = unit == 0 || value >= 99.95 ? "F0" : value >= 9.995 ? "F1" : "F2";
        return value.ToString(format, CultureInfo.InvariantCulture) + " " + s_units[unit];
    }
}
