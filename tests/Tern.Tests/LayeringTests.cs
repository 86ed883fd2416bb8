using System.Text.RegularExpressions;

namespace Tern.Tests;

/// <summary>Holds the order of the engine's rooms, and where <c>unsafe</c> may stand, by reading the source.</summary>
public sealed partial class LayeringTests
{
    /// <summary>Left to right: a room may use rooms to its left only. The front door (root) may use all.</summary>
    private static readonly string[] s_rooms =
        ["Machine", "Numerics", "Kernels", "Files", "Text", "Models", "Generation", "Conversion", "Measure"];

    private static readonly string[] s_unsafeRooms = ["Machine", "Numerics", "Kernels"];

    public static TheoryData<string> Rooms => [.. s_rooms];

    [Theory]
    [MemberData(nameof(Rooms))]
    public void A_room_uses_only_rooms_to_its_left(string room)
    {
        string[] forbidden = s_rooms[(Array.IndexOf(s_rooms, room) + 1)..];
        foreach (string file in Sources(room))
        {
            string text = File.ReadAllText(file);
            foreach (Match match in RoomReference().Matches(text))
                Assert.False(forbidden.Contains(match.Groups[1].Value), $"{file} is in {room} and uses {match.Value}");
        }
    }

    [Theory]
    [MemberData(nameof(Rooms))]
    public void Unsafe_stands_only_where_it_may(string room)
    {
        if (s_unsafeRooms.Contains(room))
            return;

        foreach (string file in Sources(room).Where(f => Path.GetFileName(f) != "MappedFile.cs"))
            Assert.DoesNotMatch(UnsafeKeyword(), File.ReadAllText(file));
    }

    private static IEnumerable<string> Sources(string room) =>
        Directory.EnumerateFiles(Path.Combine(Repository.Root, "src", "Tern", room), "*.cs", SearchOption.AllDirectories);

    [GeneratedRegex(@"\bTern\.(Machine|Numerics|Kernels|Files|Text|Models|Generation|Conversion|Measure)\b")]
    private static partial Regex RoomReference();

    [GeneratedRegex(@"\bunsafe\b")]
    private static partial Regex UnsafeKeyword();
}

/// <summary>Where the checkout lies.</summary>
internal static class Repository
{
    public static string Root { get; } = Find();

    private static string Find()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "Tern.slnx")))
                return folder.FullName;
        throw new InvalidOperationException("the tests run inside a checkout: no Tern.slnx above " + AppContext.BaseDirectory);
    }
}
