using System.Runtime.InteropServices;
using Tern.Machine;

namespace Tern.Tests.Machine;

public sealed class ReadLoopTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(8)]
    public void Every_byte_is_read_once(int streams)
    {
        byte[] memory = new byte[4096];
        new Random(1).NextBytes(memory);
        ulong expected = 0;
        foreach (ulong word in MemoryMarshal.Cast<byte, ulong>(memory))
            expected = unchecked(expected + word);

        Assert.Equal(expected, ReadLoop.Sum(memory, streams));
    }
}
